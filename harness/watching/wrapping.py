"""Wrapping functions and methods: what is told of a call never changes what it gives back."""

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from harness.watching.changes import Changes


def after(changes: Changes, owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Wrap a function or method: `tell(result, *args, **kwargs)` once it has returned."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if not torch.compiler.is_compiling():
            _told(tell, result, *args, **kwargs)
        return result

    changes.put(owner, name, wrapper)


def before(changes: Changes, owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Wrap a function or method: `tell(*args, **kwargs)` before it is called."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling():
            _told(tell, *args, **kwargs)
        return original(*args, **kwargs)

    changes.put(owner, name, wrapper)


def _told(tell: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """A call that is written in a way we do not know must not break in our hands."""
    with suppress(Exception):
        tell(*args, **kwargs)

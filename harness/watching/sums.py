"""A hook in additions: sums that are kept in sixteen bits."""

import functools
from contextlib import suppress
from typing import Any

import torch

from harness.watching.changes import Changes
from harness.watching.hub import Hub

COARSE = frozenset((torch.bfloat16, torch.float16))
MOST = 64
"""Elements of what is a sum or a counter, and nothing that a model works with."""


def additions(hub: Hub, changes: Changes) -> None:
    """`a + b`, `a += b` and the like where the result is a single number, or a few, without a gradient."""
    for name in ("__add__", "__radd__", "__iadd__"):
        changes.put(torch.Tensor, name, _operator(hub, getattr(torch.Tensor, name)))
    for name in ("add", "add_"):
        changes.put(torch.Tensor, name, _method(hub, getattr(torch.Tensor, name)))


def _operator(hub: Hub, original: Any) -> Any:
    """Almost all additions end at the format of their result: this takes no longer than it must."""

    @functools.wraps(original)
    def wrapper(one: Any, other: Any) -> Any:
        result = original(one, other)
        if getattr(result, "dtype", None) in COARSE:
            _tell(hub, one, other, result)
        return result

    return wrapper


def _method(hub: Hub, original: Any) -> Any:
    @functools.wraps(original)
    def wrapper(one: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(one, *args, **kwargs)
        # With a factor, or written elsewhere, it is another sum.
        if getattr(result, "dtype", None) in COARSE and len(args) == 1 and not kwargs:
            _tell(hub, one, args[0], result)
        return result

    return wrapper


def _tell(hub: Hub, one: Any, other: Any, result: Any) -> None:
    with suppress(Exception):
        few = result.dim() < 2 and result.numel() <= MOST
        if few and not result.requires_grad and not torch.compiler.is_compiling():
            hub.tell("added", one, other, result)

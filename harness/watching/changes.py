"""Functions and methods that are replaced for a while, and put back exactly as they stood."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import Any

ABSENT = object()
KEPT = ("torch", "harness")
"""Packages whose own names stay: what they call among themselves goes through the attributes anyway."""


class Changes(ExitStack):
    """What was changed. Closing it takes all of it back, the last change first.

    What somebody else has replaced meanwhile is theirs and stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self._functions: list[tuple[Any, Any]] = []
        # Closing goes backwards: this comes last, when no module's own attribute is ours any more.
        self.callback(self._leave_modules)

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a module or a class, in place of what it has, owns or inherits."""
        own = vars(owner).get(name, ABSENT)
        if isinstance(owner, ModuleType):
            self._functions.append((own, value))
        setattr(owner, name, value)
        self.callback(_put_back, owner, name, value, own)

    def enter_modules(self) -> None:
        """Put the replacements also where a module took the originals: `from torch.nn.utils import ...`."""
        new = {id(original): value for original, value in self._functions}
        _exchange(new, keep=KEPT)

    def _leave_modules(self) -> None:
        """Also modules that were first imported meanwhile took the replacements for the originals."""
        _exchange({id(value): original for original, value in self._functions})
        self._functions.clear()


def _put_back(owner: Any, name: str, value: Any, own: Any) -> None:
    if vars(owner).get(name) is not value:
        return
    if own is ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, own)


def _exchange(new: Mapping[int, Any], keep: tuple[str, ...] = ()) -> None:
    """In the names of all modules, each object whose identity is a key by its value."""
    loaded: tuple[Any, ...] = tuple(sys.modules.values())  # by its type, only modules; in truth, anything
    for module in loaded:
        if not isinstance(module, ModuleType) or module.__name__.partition(".")[0] in keep:
            continue
        names = vars(module)
        for name, value in tuple(names.items()):
            if id(value) in new:
                names[name] = new[id(value)]

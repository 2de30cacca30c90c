"""Functions that people name as `file.py:function`."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from harness.watching.places import is_own


def function_of(named: str) -> Callable[..., Any]:
    """The function. Its file is imported, so that what it guards as its main part rests.

    Raises:
        ValueError: there is no such file, or no such function in it.
    """
    file, _, name = named.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file}: no such file")
    module = _imported(path)
    found = getattr(module, name, None)
    if not callable(found):
        there = ", ".join(key for key, value in vars(module).items() if _own(value, module)) or "none"
        raise ValueError(f"{path.name} has no function '{name}'; it has {there}")  # noqa: TRY004 - of what is named
    return found  # type: ignore[no-any-return]


def names_of(value: Any) -> set[str]:
    """What the user's own code that is at work calls an object: variables, and attributes of those.

    In lower case, with the names of its class and of the objects that hold it.
    """
    found = {type(value).__name__.lower()}
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as `inspect`, without its cost
    while frame is not None:
        if is_own(frame.f_code.co_filename):
            for name, each in list(frame.f_locals.items()):
                found |= {name.lower()} if each is value else _attributes(name, each, value)
        frame = frame.f_back
    return found


def _attributes(name: str, owner: Any, value: Any) -> set[str]:
    own = getattr(owner, "__dict__", None)
    if isinstance(owner, ModuleType) or not isinstance(own, dict):
        return set()
    # A module of torch keeps its parts in a dictionary of their own.
    held = {**own, **own.get("_modules", {})} if isinstance(own.get("_modules", {}), dict) else own
    return {f"{name}.{key}".lower() for key, each in held.items() if each is value}


def _imported(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Under its own name, so that what it defines can be pickled; its folder first, for what lies beside it.
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.parent))
    specification.loader.exec_module(module)
    return module


def _own(value: object, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", "") == module.__name__

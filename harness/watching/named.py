"""Functions that people name as `file.py:function`."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


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

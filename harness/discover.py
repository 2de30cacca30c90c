"""Finds plugins: one file is one of them, its name is its name. A broken one is listed with its error.

Files are those of the package `harness.<kind>` and of entry points in the group `harness.<kind>`, each called
as its file is. A file whose name begins with an underscore is a helper, not a plugin.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType, ModuleType
from typing import Any, Literal

from harness.model import HarnessError

Kind = Literal["backends", "checks", "probes", "diagnoses", "faults", "observers"]
KINDS: tuple[Kind, ...] = ("backends", "checks", "probes", "diagnoses", "faults", "observers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugin:
    """A plugin's name, its one line, and its class, or the error that broke it."""

    name: str
    about: str = ""
    value: Any = None
    error: str = ""


@cache
def plugins(kind: Kind) -> Mapping[str, Plugin]:
    """All plugins of a kind by name, sorted; built-in ones win over entry points of the same name."""
    package = importlib.import_module(f"harness.{kind}")
    found = dict(_from_entry_points(kind, package)) | dict(_from_package(package))
    return MappingProxyType(dict(sorted(found.items())))


def working(kind: Kind) -> Mapping[str, Any]:
    """The classes of all plugins that load, by name."""
    return {name: plugin.value for name, plugin in plugins(kind).items() if not plugin.error}


def get(kind: Kind, name: str) -> Any:
    """One plugin's class.

    Raises:
        HarnessError: there is none of that name (with the nearest ones), or it is broken.
    """
    plugin = plugins(kind).get(name)
    if plugin is None:
        raise HarnessError(f"{kind}: unknown name '{name}'{suggest(name, plugins(kind))}")
    if plugin.error:
        raise HarnessError(f"{kind}: '{name}' cannot be loaded: {plugin.error}")
    return plugin.value


def suggest(word: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """`; did you mean 'x'?`, or what there is when nothing is near."""
    import difflib  # noqa: PLC0415 - only when something is wrong

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(sorted(known)) or 'none'}"


def _from_package(package: ModuleType) -> Iterator[tuple[str, Plugin]]:
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            yield info.name, _load(package, info.name, f"{package.__name__}.{info.name}")


def _from_entry_points(kind: Kind, package: ModuleType) -> Iterator[tuple[str, Plugin]]:
    for point in entry_points(group=f"harness.{kind}"):
        yield point.name, _load(package, point.name, point.module)


def _load(package: ModuleType, name: str, module_name: str) -> Plugin:
    try:
        module = importlib.import_module(module_name)
        value = _plugin_class(module, package.Base, name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a broken plugin must hurt nothing else
        return Plugin(name=name, error=f"{type(error).__name__}: {error}")
    return Plugin(name=name, about=(module.__doc__ or "").strip().split("\n")[0], value=value)


def _plugin_class(module: ModuleType, base: type, name: str) -> type:
    if module.__name__.rpartition(".")[2] != name:
        raise NameError(f"its file is {module.__name__}; call the file and the entry point the same")
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    ]
    if len(classes) != 1:
        raise TypeError(f"expected one public subclass of {base.__name__}, found {len(classes)}")
    return classes[0]

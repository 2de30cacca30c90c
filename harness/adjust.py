"""Single numbers of a check, read and replaced by where they stand in YAML below the check's key."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from harness.checks import Check, Keys
from harness.units import PerSecond


def number_at(check: Check, keys: Keys) -> float:
    """The number at a place, in base units. keys: as those of `Check.readings`.

    Raises:
        KeyError: there is nothing.
    """
    found: Any = check
    for key in _whole(check, keys):
        parts = _parts(found)
        if key not in parts:
            raise KeyError(f"{check.name}: nothing stands at {keys}")
        found = parts[key]
    return float(found)


def adjusted(check: Check, changes: Mapping[Keys, float]) -> Check:
    """The check with other numbers at some places, all at once.

    Raises:
        ValueError: the check refuses them.
        KeyError: there is nothing at one of the places.
    """
    for keys in changes:
        number_at(check, keys)
    changed: Check = _put(check, {_whole(check, keys): number for keys, number in changes.items()})
    return changed


def _whole(check: Check, keys: Keys) -> Keys:
    """The keys with the field that the whole YAML value stands for."""
    return (check.entire, *keys) if check.entire else keys


def _parts(value: Any) -> Mapping[str | int, Any]:
    """What is in a value, by the keys of YAML: names, texts of whole numbers, places in a list."""
    if isinstance(value, tuple):
        return dict(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {str(key): part for key, part in value.items()} if isinstance(value, Mapping) else {}


def _put(value: Any, changes: Mapping[Keys, float]) -> Any:
    if () in changes:
        return _like(value, changes[()])
    below: dict[str | int, dict[Keys, float]] = {}
    for (key, *rest), number in changes.items():
        below.setdefault(key, {})[tuple(rest)] = number
    new = {key: _put(part, below[key]) for key, part in _parts(value).items() if key in below}
    if isinstance(value, tuple):
        return tuple(new.get(place, part) for place, part in enumerate(value))
    if isinstance(value, Mapping):
        return {key: new.get(str(key), part) for key, part in value.items()}
    return replace(value, **{str(key): part for key, part in new.items()})


def _like(old: Any, number: float) -> float:
    """The number as the field's type has it: sizes are whole, rates know of what."""
    if isinstance(old, PerSecond):
        return PerSecond(number, old.unit)
    return int(number) if isinstance(old, int) and float(number).is_integer() else float(number)

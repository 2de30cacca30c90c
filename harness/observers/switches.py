"""Parts of one data set: what of it is switched after the split, for one part, and so for all of them?"""

import re
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.observers import Observer
from harness.watching.places import place_of_caller, text_of_caller

DEEP = 3
"""Data sets within data sets."""
MOST = 64
"""Changes that are kept."""
THROUGH_PART = re.compile(r"\.dataset\.")
"""So reads a line that means one part's data set, and has all parts'."""


@dataclass(slots=True)
class _Part:
    """A part of it that loaders go through. turns: how many changes there had been when batches came."""

    part: Any
    turns: set[int] = field(default_factory=set)
    trained: bool = False
    asked: bool = False


@dataclass(slots=True)
class _Change:
    """At this turn an attribute got another value. aimed: the line names the data set of a part."""

    turn: int
    value: Any
    aimed: bool = False
    where: str = ""


@dataclass(slots=True)
class _Shared:
    """A data set that was split, by attribute the values since then, and its parts by identity."""

    data: Any
    values: dict[str, list[_Change]]
    parts: dict[int, _Part] = field(default_factory=dict)
    turn: int = 0


class Switches(Observer):
    """Remembers what of a split data set can be called or is on or off, and in which state batches came."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.shared: dict[int, _Shared] = {}
        self.within: dict[int, int] = {}
        self.passes: dict[int, tuple[_Shared, _Part, bool]] = {}
        self.latest: _Part | None = None

    def split(self, hub: Any, part: Any) -> None:
        """Its state at the first split is what it was made with."""
        del hub
        data = _inner(part)
        if self._of(data) is None:
            values = {name: [_Change(0, value)] for name, value in _states(data)}
            self.shared[id(data)] = _Shared(weakref.ref(data), values)
            self.within |= {id(each): id(data) for _, each in _holders(data)}

    def _of(self, data: Any) -> _Shared | None:
        shared = self.shared.get(id(data))
        return shared if shared is not None and shared.data() is data else None

    def switched(self, hub: Any, owner: Any) -> None:
        """Somebody gave a data set something else, which may be one of these."""
        del hub
        shared = self.shared.get(self.within.get(id(owner), 0))
        if shared is not None:
            _look(shared, bool(THROUGH_PART.search(text_of_caller())))

    def loader_started(self, hub: Any, iterator: Any, loader: Any) -> None:
        """A pass over a part. Workers have the state in which it began."""
        part = getattr(loader, "dataset", None)
        shared = self._of(_inner(part)) if hasattr(part, "indices") else None
        self.passes.pop(id(iterator), None)
        if shared is None:
            return
        _look(shared, aimed=False)
        told = shared.parts.get(id(part))
        if told is None or told.part() is not part:
            told = shared.parts[id(part)] = _Part(weakref.ref(part))
        self.passes[id(iterator)] = (shared, told, bool(loader.num_workers))
        if loader.num_workers:
            told.turns.add(shared.turn)
        told.asked |= hub.step > 0

    def batch_loaded(self, hub: Any, iterator: Any, batch: Any) -> None:
        """In which state is it?"""
        del hub, batch
        shared, self.latest, workers = self.passes.get(id(iterator), (None, None, False))
        if shared is not None and self.latest is not None and not workers:
            self.latest.turns.add(shared.turn)

    def backward_begins(self, hub: Any, roots: Any) -> None:
        """What came last is trained on."""
        del hub, roots
        if self.latest is not None:
            self.latest.trained = True

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Attributes that changed after the split and before all batches of training and evaluation."""
        del hub
        told = [each for each in self.shared.values() if _both(each)]
        if not told:
            raise NotImplementedError("no parts of one data set are trained and evaluated on")
        return {
            "parts": sum(len(each.parts) for each in told),
            "switched": [
                _told(name, changes) for each in told for name, changes in each.values.items()
                if len(changes) > 1 and _before_all(each, changes[-1].turn)
            ],
        }  # fmt: skip


def _inner(data: Any) -> Any:
    """The data set that a part is of, also where it is a part of a part."""
    for _ in range(DEEP):
        if not hasattr(data, "indices") or not hasattr(data, "dataset"):
            break
        data = data.dataset
    return data


def _holders(data: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """It and the data sets within it, with their names."""
    import torch  # noqa: PLC0415 - only where torch runs

    yield path, data
    for name, value in _attributes(data) if depth < DEEP else ():
        if isinstance(value, torch.utils.data.Dataset):
            yield from _holders(value, f"{path}{name}.", depth + 1)


def _attributes(data: Any) -> list[tuple[str, Any]]:
    return list(data.__dict__.items()) if isinstance(getattr(data, "__dict__", None), dict) else []


def _states(data: Any) -> Iterator[tuple[str, Any]]:
    """What can be called, is on or off, or nothing at all, by name."""
    import torch  # noqa: PLC0415 - only where torch runs

    for path, each in _holders(data):
        for name, value in _attributes(each):
            plain = value is None or isinstance(value, bool)
            if plain or (callable(value) and not isinstance(value, torch.utils.data.Dataset)):
                yield path + name, value


def _look(shared: _Shared, aimed: bool) -> None:
    data = shared.data()
    for name, value in () if data is None else _states(data):
        changes = shared.values.setdefault(name, [_Change(0, None)])
        if changes[-1].value is not value and len(changes) < MOST:
            shared.turn += 1
            changes.append(_Change(shared.turn, value, aimed, place_of_caller() if aimed else ""))


def _both(shared: _Shared) -> bool:
    """Whether one part of it is trained on, and another one is only looked at while training goes on."""
    parts = shared.parts.values()
    return any(each.trained for each in parts) and any(each.asked and not each.trained for each in parts)


def _before_all(shared: _Shared, turn: int) -> bool:
    return all(min(each.turns, default=turn) >= turn for each in shared.parts.values())


def _told(name: str, changes: list[_Change]) -> dict[str, Any]:
    """What it is, and what it has been since the split and no longer is. aimed: at one part's data set."""
    last = changes[-1]
    others = [
        each for each in changes[:-1] if each.value not in (None, False) and each.value is not last.value
    ]
    was = others[-1] if others else None
    return {
        "attribute": name,
        "was": _name(was.value) if was else "",
        "is": _name(last.value),
        "aimed": last.aimed,
        "at_split": was is not None and was.turn == 0,
        "off": last.value is None or last.value is False,
        "flag": isinstance(last.value, bool),
        "where": last.where,
    }


def _name(value: Any) -> str:
    """`Flip`, `None`, `True`."""
    if value is None or isinstance(value, bool):
        return str(value)
    return str(getattr(value, "__name__", type(value).__name__))[:60]

"""Data sets: does fetching a sample write into what they store, again with every pass?"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.observers import Observer
from harness.observers._held import held_by, inner_rows, marks, rows_now

MOST_PASSES = 12
LOOKED = 6
"""Fetches of a pass that are looked at."""
MOST_KNOWN = 200_000
MOST_ROWS = 4
"""Rows of a fetch whose stored values are compared."""


class Stored(Observer):
    """Compares what a data set holds before a `DataLoader` fetches from it with what it holds afterwards."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.sets: dict[int, dict[str, Any]] = {}
        self.of: dict[int, tuple[int, int]] = {}
        self.fetches: Counter[int] = Counter()
        self.before: dict[int, Any] = {}

    def loader_started(self, hub: Any, iterator: Any, loader: Any) -> None:
        """One more pass over a data set in this process."""
        del hub
        self.of.pop(id(iterator), None)
        data = getattr(loader, "dataset", None)
        if loader.num_workers or data is None:
            return
        told = self.sets.setdefault(
            id(data),
            {
                "data": data, "passes": 0, "where": _where(data, loader), "known": set(), "looked": [],
                "rewritten": [],
            },
        )  # fmt: skip
        told["passes"] += 1
        if told["passes"] <= MOST_PASSES:
            self.of[id(iterator)] = (id(data), told["passes"])
            self.fetches[id(iterator)] = 0

    def indices_drawn(self, hub: Any, iterator: Any, indices: Any) -> None:
        """A fetch begins."""
        del hub
        number, turn = self.of.get(id(iterator), (0, 0))
        self.before.pop(id(iterator), None)
        if not number:
            return
        drawn = [
            each for each in (indices if isinstance(indices, list) else [indices]) if isinstance(each, int)
        ]
        known = self.sets[number]["known"]
        again = all(each in known for each in drawn)
        known.update(drawn if len(known) < MOST_KNOWN else ())
        # A cache that is filled at the first fetch of a sample is none of this.
        if self.fetches[id(iterator)] >= LOOKED or not (again or turn == 1):
            return
        self.fetches[id(iterator)] += 1
        data, rows = inner_rows(self.sets[number]["data"], drawn)
        held = held_by(data, rows)
        self.before[id(iterator)] = (held, marks(held), rows, rows_now(held, data, rows[:MOST_ROWS]))

    def batch_loaded(self, hub: Any, iterator: Any, batch: Any) -> None:
        """It has ended."""
        del hub
        number, turn = self.of.get(id(iterator), (0, 0))
        held, before, rows, values = self.before.pop(id(iterator), (None, None, None, None))
        if held is None:
            return
        told = self.sets[number]
        data, _ = inner_rows(told["data"], [])
        told["looked"].append(turn)
        changed = [one for one, old, new in zip(held, before, marks(held), strict=True) if old != new]
        told["rewritten"] += [turn] if _rewritten(changed, batch, values, data, rows) else []

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By data set: in how many later passes did most fetches change what is stored?"""
        del hub
        if not self.sets:
            raise NotImplementedError("no DataLoader fetches in this process")
        return {"sets": [_told(each) for each in self.sets.values()]}


def _rewritten(changed: list[Any], batch: Any, before: Any, data: Any, rows: Any) -> bool:
    """Whether what was written is what was fetched: all rows of it, or the batch shows what is stored now."""
    from harness.observers._held import shown  # noqa: PLC0415 - as its only use

    if not changed:
        return False
    after = rows_now(changed, data, rows[:MOST_ROWS])
    kept = {key: value for key, value in before.items() if key in after}
    if kept and all(value != after[key] for key, value in kept.items()):
        return True
    return shown(changed, batch)


def _told(one: Mapping[str, Any]) -> dict[str, Any]:
    looked, rewritten = Counter(one["looked"]), Counter(one["rewritten"])
    return {
        "kind": type(one["data"]).__name__,
        "where": one["where"],
        "passes": len(looked),
        "late": sum(turn > 1 for turn in looked),
        "rewriting": sum(rewritten[turn] > 0.8 * of > 1 for turn, of in looked.items() if turn > 1),
    }


def _where(data: Any, loader: Any) -> str:
    """`train.py:41`, where samples of this data set are fetched, or put together; '' in a library."""
    from harness.watching.places import is_own  # noqa: PLC0415 - as its only use

    inner, _ = inner_rows(data, [])
    owners = [getattr(type(inner), name, None) for name in ("__getitem__", "__iter__")]
    for each in (*owners, getattr(loader, "collate_fn", None)):
        code = getattr(each, "__code__", None)
        if code is not None and is_own(code.co_filename):
            return f"{Path(code.co_filename).name}:{code.co_firstlineno}"
    return ""

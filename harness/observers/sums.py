"""Sums and counters that are kept in sixteen bits: how far are they from what was added to them?"""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.observers import Observer
from harness.watching.places import place_of_caller

LEAST = 8
"""Additions that make a sum of it."""
MOST = 512
"""Sums that are followed at a time; a list of results is none of them."""
ONE_WAY = 0.5
"""Of all that was added, so much is left: a sum in which much cancels out is a small difference."""


@dataclass(slots=True)
class _Sum:
    """The exact value of a tensor that was added to. last: what the tensor showed after the last addition.

    size: the sum of all magnitudes. version: the tensor's own count of what was written into it.
    """

    tensor: Any
    exact: Any
    size: float
    last: Any
    version: int
    count: int = 0
    where: str = ""


class Sums(Observer):
    """Adds up again in 64 bits what a program adds up in sixteen."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.sums: dict[int, _Sum] = {}
        self.told: dict[str, dict[str, Any]] = {}

    def added(self, hub: Any, one: Any, other: Any, result: Any) -> None:
        """One more addition. A sum goes on from the tensor that was added to, on either side."""
        del hub
        shown = _plain(result)
        known, addend = self._known(one, result), other
        if known is None:
            known, addend = self._known(other, result), one
        more = _plain(addend) if addend is not result else None
        if known is None or more is None or not _follows(shown, known.last + more, result):
            known = _Sum(None, shown.astype(np.float64), float(np.abs(shown).sum()), None, 0)
        else:
            size = known.size + float(np.abs(more).sum())
            known = _Sum(None, known.exact + more, size, None, 0, known.count + 1, known.where)
        known.tensor, known.last, known.version = weakref.ref(result), shown, _version(result)
        if id(result) not in self.sums and len(self.sums) >= MOST:
            self.sums = {key: each for key, each in self.sums.items() if each.tensor() is not None}
        if len(self.sums) < MOST:
            self.sums[id(result)] = known
            self._tell(known, str(result.dtype).removeprefix("torch."))

    def _known(self, tensor: Any, result: Any) -> _Sum | None:
        """The sum that a tensor is, unless somebody else has written into it."""
        known = self.sums.get(id(tensor))
        if known is None or known.tensor() is not tensor:
            return None
        # Of tensors made in inference mode there is no count.
        written = known.version >= 0 and _version(tensor) != known.version + (tensor is result)
        return None if written else known

    def _tell(self, one: _Sum, kind: str) -> None:
        """Keep the sum of a line that is furthest from the exact one."""
        if one.count < LEAST:
            return
        one.where = one.where or place_of_caller()
        exact = float(np.abs(one.exact).sum())
        error = float(np.abs(one.exact - one.last).sum()) / exact if exact else 0.0
        told = self.told.setdefault(one.where, {"error": -1.0})
        if exact > ONE_WAY * one.size and np.isfinite(error) and error > told["error"]:
            self.told[one.where] = {
                "error": error, "added": one.count, "kept": float(one.last.sum()),
                "exact": float(one.exact.sum()), "format": kind, "where": one.where,
            }  # fmt: skip

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By line: the worst sum, what it should be, and their distance as a share of it."""
        del hub
        told = [each for each in self.told.values() if each["error"] >= 0]
        if not told:
            raise NotImplementedError("no sum is kept in sixteen bits")
        return {"sums": told}


def _plain(value: Any) -> Any:
    """Its numbers in 64 bits, for a tensor or a number."""
    if isinstance(value, int | float):
        return np.float64(value)
    return value.detach().double().cpu().numpy().copy()


def _version(tensor: Any) -> int:
    try:
        return int(tensor._version)  # noqa: SLF001 - torch has no other name for it
    except RuntimeError:
        return -1


def _follows(shown: Any, wanted: Any, result: Any) -> bool:
    """Whether this is what was there before and the addend, but for rounding."""
    import torch  # noqa: PLC0415 - only where torch runs

    spacing = torch.finfo(result.dtype).eps * np.abs(wanted)
    return np.shape(wanted) == np.shape(shown) and bool((np.abs(shown - wanted) <= spacing + 1e-7).all())

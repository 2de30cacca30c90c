"""Samples that are windows of longer records: do those that are held out overlap those of the training?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.observers import Observer
from harness.observers._pieces import pieces_of
from harness.watching.events import Call

MOST_ELEMENTS = 6_000_000
MOST_ROWS = 8192
MOST_EVALUATED = 1 << 21
LATEST = 24
"""Evaluated batches that are looked at after an update of their own, for each model."""


@dataclass(slots=True)
class _Known:
    """What one model was trained on. places: where in its window a piece stood when it was first met."""

    elements: int = 0
    samples: dict[int, int] = field(default_factory=dict)
    numbers: list[Any] = field(default_factory=list)
    places: list[Any] = field(default_factory=list)
    sorted: Any = None
    order: Any = None
    met: int = 0
    drawn: int = 0
    evaluated: int = 0
    windows: int = 0
    overlapping: int = 0
    on_both_sides: int = 0
    shared: float = 0.0
    updates: set[int] = field(default_factory=set)


class Windows(Observer):
    """Compares short pieces of the samples that a model is evaluated on with those that it was trained on."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.known: dict[int, _Known] = {}

    def called(self, hub: Any, call: Call) -> None:
        """One call of a trained model."""
        import torch  # noqa: PLC0415 - only where torch runs

        if call.depth or id(call.module) not in hub.models:
            return
        given = next((each for each in call.given if isinstance(each, torch.Tensor)), None)
        if given is None or not given.is_floating_point() or given.dim() < 2 or given.requires_grad:
            return
        if given.numel() > MOST_EVALUATED or not _in_memory(given):
            return
        known = self.known.setdefault(id(call.module), _Known())
        if torch.is_grad_enabled():
            self._trained(known, given)
        elif known.numbers and not call.module.training and known.evaluated < LATEST:
            known.updates.add(hub.updates)
            self._evaluated(known, given)

    def _trained(self, known: _Known, given: Any) -> None:
        if known.elements > MOST_ELEMENTS or len(known.samples) > MOST_ROWS * 8:
            return
        known.elements += given.numel()
        rows = _rows(given)
        new = np.array([each not in known.samples for each in rows])
        known.drawn += len(rows)
        for each in rows:
            known.samples[each] = known.samples.get(each, 0) + 1
        if not new.any():
            return
        for numbers, sample, place in pieces_of(given):
            taken = new[sample]
            known.numbers.append(numbers[taken])
            known.places.append(place[taken])
            known.met += int(taken.sum())
            known.sorted = None

    def _evaluated(self, known: _Known, given: Any) -> None:
        """How many of the samples that were not trained on share pieces, at another place, early and late?"""
        pieces = pieces_of(given)
        if not pieces:
            return
        known.evaluated += 1
        _sort(known)
        new = np.array([each not in known.samples for each in _rows(given)])
        best = max((_overlaps(known, new, *each) for each in pieces), key=lambda each: each[1])
        known.windows += best[0]
        known.overlapping += best[1]
        known.on_both_sides += best[2]
        known.shared += best[3]

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By model that was evaluated on windows it was not trained on."""
        told = [_told(hub, each) for each in self.known.values() if each.windows]
        if not told:
            raise NotImplementedError("no model is evaluated on sequences of measured values")
        return {"models": told}


def _rows(given: Any) -> list[int]:
    values = given.detach().cpu().contiguous()
    values = values.float() if str(values.dtype) == "torch.bfloat16" else values
    return [hash(each.tobytes()) for each in values.reshape(len(values), -1).numpy()]


def _in_memory(given: Any) -> bool:
    """Whether its values can be read: not within `torch.func`, where many samples are one."""
    try:
        return bool(given.data_ptr())
    except RuntimeError:
        return False


def _sort(known: _Known) -> None:
    """The different pieces in order, with the place where each was met first."""
    if known.sorted is None:
        known.sorted, first = np.unique(np.concatenate(known.numbers), return_index=True)
        known.order = np.concatenate(known.places)[first]


def _overlaps(known: _Known, new: Any, numbers: Any, sample: Any, place: Any) -> tuple[int, int, int, float]:
    """Samples that are new; that share pieces; early and late ones too; and the shares, added up."""
    at = np.searchsorted(known.sorted, numbers).clip(0, max(0, len(known.sorted) - 1))
    hit = (known.sorted[at] == numbers) & (known.order[at] != place) if len(known.sorted) else numbers < 0
    middle = (place.max(initial=0) + 1) / 2
    counts = [
        np.bincount(sample, weights=each, minlength=len(new))
        for each in (np.ones(len(sample)), hit, hit & (place < middle), hit & (place >= middle))
    ]
    # Who repeats itself says nothing of where a piece came from.
    different = np.zeros(len(new))
    pairs = np.unique(np.stack([sample.astype(np.uint64), numbers]), axis=1)[0].astype(int)
    different[: len(new)] = np.bincount(pairs, minlength=len(new))
    usable = new & (counts[0] >= 4) & (different > 0.9 * counts[0])
    shares = np.divide(counts[1], counts[0], out=np.zeros(len(new)), where=counts[0] > 0)
    some = usable & (shares > 0.15)
    both = some & (counts[2] > 0) & (counts[3] > 0)
    return int(usable.sum()), int(some.sum()), int(both.sum()), float(shares[some].sum())


def _told(hub: Any, one: _Known) -> dict[str, Any]:
    _sort(one)
    return {
        "windows": one.windows,
        "overlapping": one.overlapping,
        "on_both_sides": one.on_both_sides,
        "shared": one.shared / max(1, one.overlapping),
        "samples": len(one.samples),
        "drawn": one.drawn,
        "own_overlap": one.met / max(1, len(one.sorted)),
        "often": len(one.updates) / max(1, hub.updates),
    }

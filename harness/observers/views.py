"""Inputs that are parts of a larger tensor: does the same part come back changed by what was done to it?"""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.observers import Observer
from harness.watching.events import Call
from harness.watching.places import place

MOST_PARTS = 16
MOST_BEGUN = 200
"""Parts that are begun with: of tensors that do not last, none comes back."""
MOST_VISITS = 6
MOST_ELEMENTS = 1024


@dataclass(slots=True)
class _Part:
    """One part of a stored tensor. changes: by visit after the first, how its values had changed."""

    base: Any
    where: str
    values: Any
    changes: list[str] = field(default_factory=list)


class Views(Observer):
    """Keeps some elements of the first parts of stored tensors that models are given in training."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.parts: dict[tuple[Any, ...], _Part] = {}
        self.begun = 0

    def called(self, hub: Any, call: Call) -> None:
        """A trained model was given a part of a larger tensor, as it is in memory."""
        import torch  # noqa: PLC0415 - only where torch runs

        if call.depth or id(call.module) not in hub.models or not torch.is_grad_enabled():
            return
        given = next((each for each in call.given if isinstance(each, torch.Tensor)), None)
        base = None if given is None else given._base  # noqa: SLF001 - torch has no other name for it
        if given is None or base is None or given.requires_grad or base.requires_grad or base.is_sparse:
            return
        if base.numel() < 2 * given.numel() or given.numel() < 8:
            return
        self._visit(given, base)

    def _visit(self, given: Any, base: Any) -> None:
        number = (id(base), given.storage_offset(), tuple(given.shape), given.stride())
        part = self.parts.get(number)
        if part is None or part.base() is not base:
            if (part is not None or len(self.parts) < MOST_PARTS) and self.begun < MOST_BEGUN:
                self.begun += 1
                self.parts[number] = _Part(weakref.ref(base), place(), _values(given))
        elif len(part.changes) < MOST_VISITS:
            values = _values(given)
            part.changes.append(_change(part.values, values))
            part.values = values

    def found(self, hub: Any) -> Mapping[str, Any]:
        """How many parts came back at least twice, and how many of them changed by one rule each time."""
        del hub
        again = [each for each in self.parts.values() if len(each.changes) >= 2]
        if not again:
            raise NotImplementedError("no part of a larger tensor was given to a model three times")
        drifting = [each for each in again if _drifts(each.changes)]
        return {
            "parts": len(again),
            "drifting": len(drifting),
            "where": drifting[0].where if drifting else "",
            "how": drifting[0].changes[0] if drifting else "",
        }


def _values(given: Any) -> Any:
    return given.detach().reshape(-1)[:MOST_ELEMENTS].double().cpu().numpy().copy()


def _drifts(changes: list[str]) -> bool:
    """Whether it changed by one rule again and again; what stands still at the end has reached its end."""
    moved = [each for each in changes if each != "same"]
    return len(moved) >= 2 and len(set(moved)) == 1 and moved[0] != "other"


def _change(before: Any, after: Any) -> str:
    """`scaled`: all by one factor and one shift; `covered`: some became the same constant."""
    moved = before != after
    if not moved.any():
        return "same"
    if not np.isfinite(before).all() or not np.isfinite(after).all():
        return "other"
    if moved.mean() < 0.7:
        return "covered" if len(np.unique(after[moved])) == 1 and moved.sum() > 1 else "other"
    spread = before.std()
    if spread == 0 or after.std() == 0 or len(np.unique(before)) < 8:
        return "other"
    slope = ((before - before.mean()) * (after - after.mean())).mean() / spread**2
    left = after - after.mean() - slope * (before - before.mean())
    return "scaled" if np.abs(left).max() < 1e-3 * after.std() else "other"

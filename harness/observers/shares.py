"""By how much does each micro-batch count in an update, against how many targets it has?"""

import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.observers import Observer
from harness.watching.events import Loss
from harness.watching.places import place

CLOSELY = 2000
"""Calls of losses whose gradients are looked at."""
RAGGED = 1.3
"""Micro-batches differ where one has so many times the targets of another."""


@dataclass(slots=True)
class _Pass:
    """One call of a loss function that gradients came from. share: what its targets count for together."""

    where: str
    turn: int
    targets: int
    share: float = 0.0


class Shares(Observer):
    """Reads the gradients of losses: those of a sum, of a mean, or of every target."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.calls = self.turn = 0
        self.passes: list[_Pass] = []
        self.steps = self.ragged = self.alike = 0
        self.where = ""

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """Its gradient will tell how it was divided, whatever was done to it afterwards."""
        del hub
        if loss.kind not in ("cross_entropy", "nll_loss") or loss.target.is_floating_point():
            return
        if self.calls >= CLOSELY or not loss.result.requires_grad:
            return
        self.calls += 1
        counted = loss.target.detach() != loss.options.get("ignore_index", -100)
        where, whole = place(), loss.options.get("reduction", "mean") == "mean"
        tell = weakref.WeakMethod(self._arrived)  # a result that is kept must not keep us

        def arrived(gradient: Any) -> None:
            with suppress(Exception):  # this is the program's own backward pass
                listener: Any = tell()
                listener(where, gradient.detach(), counted, whole)

        loss.result.register_hook(arrived)

    def _arrived(self, where: str, gradient: Any, counted: Any, whole: bool) -> None:
        """Targets left out afterwards, by a factor of zero, do not count. whole: it is that of a mean."""
        share = gradient.double().abs()
        if share.numel() == 1:
            targets = int(counted.sum())
            share = share if whole else share * targets
        else:
            share = share.reshape(-1)[counted.reshape(-1)]
            targets = int((share > 0).sum())
        self.passes.append(_Pass(where, self.turn, targets, float(share.sum())))

    def backward_ended(self, hub: Any, roots: Any) -> None:
        """One pass."""
        del hub, roots
        self.turn += 1

    def stepped(self, hub: Any, optimizer: Any) -> None:
        """Of an update of several micro-batches: are they weighed by their targets, or all alike?"""
        del hub, optimizer
        passes, self.passes, self.turn = self.passes, [], 0
        told = {
            where: [each for each in passes if each.where == where] for where in {p.where for p in passes}
        }
        for where, own in told.items():
            self._weigh(where, _by_turn(own))

    def _weigh(self, where: str, own: list[_Pass]) -> None:
        if len(own) < 2 or min(each.targets for each in own) < 1 or min(each.share for each in own) <= 0:
            return
        self.steps += 1
        targets, shares = [[getattr(each, name) for each in own] for name in ("targets", "share")]
        uneven = max(targets) / min(targets)
        if uneven > RAGGED:
            self.ragged += 1
            self.alike += max(shares) / min(shares) < uneven**0.25
            self.where = self.where or where

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Updates of several micro-batches, those with different numbers of targets, and how they counted."""
        del hub
        if not self.steps:
            raise NotImplementedError("no update has several micro-batches of labels")
        return {"steps": self.steps, "ragged": self.ragged, "alike": self.alike, "where": self.where}


def _by_turn(passes: list[_Pass]) -> list[_Pass]:
    """What one backward pass went through together, as one."""
    found: dict[int, _Pass] = {}
    for each in passes:
        one = found.setdefault(each.turn, _Pass(each.where, each.turn, 0))
        one.targets, one.share = one.targets + each.targets, one.share + each.share
    return list(found.values())

"""Places that a model is told to leave out: do their targets count in the loss all the same?"""

from collections.abc import Mapping
from typing import Any

from harness.observers import Observer
from harness.observers._given import counted_target
from harness.watching.events import Call, Loss
from harness.watching.places import place

CLOSELY = 40
"""Losses that are looked at."""
MOST_ELEMENTS = 1 << 20
CLASSES = ("cross_entropy", "nll_loss")
NUMBERS = (
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
)  # fmt: skip


class Fillings(Observer):
    """Compares the mask of padding that a model is given with the targets of its loss."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.pads: Any = None
        self.inner: list[tuple[Loss, str]] = []
        self.inside = False
        self.looked = self.counted = self.places = self.filled = 0
        self.values: set[float] = set()
        self.where = ""

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """What came before belongs to another call."""
        del hub, module, args
        if not depth:
            self.pads, self.inside = None, True
            self.inner.clear()

    def called(self, hub: Any, call: Call) -> None:
        """Which places of these inputs are padding? Losses within the model are looked at now."""
        import torch  # noqa: PLC0415 - only where torch runs

        from harness.watching.tensors import padding  # noqa: PLC0415 - brings torch

        if call.depth:
            return
        self.inside, inner, self.inner = False, self.inner, []
        if id(call.module) not in hub.models or not torch.is_grad_enabled() or self.looked >= CLOSELY:
            return
        with torch.no_grad():
            self.pads = padding([each for each in call.given if isinstance(each, torch.Tensor)])
            for loss, where in inner:
                self._look(loss, where)

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """One loss, of the model or within it."""
        import torch  # noqa: PLC0415 - only where torch runs

        del hub
        if not loss.predicted.requires_grad or loss.options.get("reduction", "mean") == "none":
            return
        if self.inside:
            self.inner = [*self.inner[-1:], (loss, place())]
            return
        with torch.no_grad():
            self._look(loss, place())

    def _look(self, loss: Loss, where: str) -> None:
        """Are the targets at all places of padding one value, and is it counted?"""
        pads, target = self.pads, counted_target(loss)
        if pads is None or target.numel() % pads.numel() or target.numel() > MOST_ELEMENTS:
            return
        rows = target.reshape(*pads.shape, -1)[pads]
        if loss.kind in NUMBERS and loss.predicted.shape == target.shape:
            counted = _differ(loss, pads, rows)
        elif loss.kind in CLASSES and not target.is_floating_point():
            counted = bool((rows >= 0).float().mean() > 0.5)  # one that is shifted leaves out a few
            rows = rows[rows >= 0]
        else:
            return
        self.looked += 1
        if counted and bool((rows == rows.reshape(-1)[0]).all()) and not _weightless(loss, rows):
            self.counted += 1
            self.filled += rows.numel()
            self.places += int((target >= 0).sum()) if loss.kind in CLASSES else target.numel()
            self.values.add(float(rows.reshape(-1)[0]))
            self.where = self.where or where

    def found(self, hub: Any) -> Mapping[str, Any]:
        """In how many losses the filling counts, and how much of their targets it is."""
        del hub
        if not self.looked:
            raise NotImplementedError("no model that is given a mask of padding has a target at each place")
        return {
            "looked": self.looked,
            "counted": self.counted,
            "share": self.filled / max(1, self.places),
            "values": sorted(self.values)[:4],
            "where": self.where,
        }


def _differ(loss: Loss, pads: Any, rows: Any) -> bool:
    """Whether predictions at the padding are not just what is asked for, as after a mask on both sides."""
    predicted = loss.predicted.reshape(*pads.shape, -1)[pads]
    return bool((predicted != rows).float().mean() > 0.5) and bool(
        (predicted != predicted.reshape(-1)[0]).any()
    )


def _weightless(loss: Loss, rows: Any) -> bool:
    """Whether the weights of the loss leave that class, or these places, out."""
    weights = loss.options.get("weight")
    if weights is None:
        return False
    if loss.kind in CLASSES:
        return float(weights[int(rows.reshape(-1)[0])]) == 0
    return bool((weights == 0).any())

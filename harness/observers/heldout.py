"""What a trained model is evaluated on: is it told any better than by a constant?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.observers import Observer
from harness.observers._given import counted_target
from harness.watching.events import Call, Loss
from harness.watching.places import place

MOST_ELEMENTS = 1 << 20
LATEST = 3
"""Evaluations that count: the last ones."""
MOST_SITES = 16
SQUARES = ("mse_loss",)
CLASSES = ("cross_entropy", "nll_loss")


@dataclass(slots=True)
class _Round:
    """One evaluation. error, lost: sums over rows; first, second: of the targets' powers, by column."""

    rows: int = 0
    error: float = 0.0
    first: Any = 0.0
    second: Any = 0.0
    right: int = 0
    lost: float = 0.0
    classes: dict[int, int] = field(default_factory=dict)

    def told(self) -> dict[str, float]:
        """Rows, and by how much the model beats a constant: error over the variance, right over chance."""
        if self.classes:
            counts = np.array(list(self.classes.values()), np.float64)
            shares = counts / counts.sum()
            entropy = float(-(shares * np.log(shares)).sum())
            return {
                "rows": self.rows, "right": self.right / self.rows, "most": float(shares.max()),
                "loss": self.lost / self.rows, "constant": entropy,
            }  # fmt: skip
        variance = self.second / self.rows - (self.first / self.rows) ** 2
        return {"rows": self.rows, "loss": self.error / self.rows, "constant": float(np.mean(variance))}


class Heldout(Observer):
    """Follows outputs that were made without gradients to losses, or to differences that people write."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.sites: dict[tuple[str, str], dict[int, _Round]] = {}
        self.storage = 0
        self.depth = 0

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """A model is at work: what is subtracted now is its own."""
        del hub, module, args
        self.depth = depth + 1

    def called(self, hub: Any, call: Call) -> None:
        """The output of a trained model in an evaluation."""
        import torch  # noqa: PLC0415 - only where torch runs

        from harness.watching.tensors import first_tensor  # noqa: PLC0415 - brings torch

        self.depth = call.depth
        if call.depth:
            return
        self.storage = 0
        output = first_tensor(call.output)
        held = {id(each) for each in hub.latest.parameters} if hub.latest else set()
        if output is None or torch.is_grad_enabled() or call.module.training or not output.dim():
            return
        if any(id(each) in held for each in call.module.parameters()):
            self.storage = output.untyped_storage().data_ptr()

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """A loss of that output."""
        if self._fits(loss.predicted):
            target = counted_target(loss)
            if loss.kind in CLASSES and not target.is_floating_point():
                self._classes(hub, loss, target)
            elif loss.kind in SQUARES and loss.predicted.shape == target.shape:
                self._numbers(hub, loss.kind, loss.predicted, target)

    def subtracted(self, hub: Any, one: Any, other: Any, result: Any) -> None:
        """The difference to what it should be."""
        del result
        if one.shape == other.shape and self._fits(one) != self._fits(other):
            predicted, target = (one, other) if self._fits(one) else (other, one)
            self._numbers(hub, "a difference", predicted, target)

    def _fits(self, value: Any) -> bool:
        ours = self.storage and not self.depth and 0 < value.numel() <= MOST_ELEMENTS and value.dim()
        return bool(ours) and value.untyped_storage().data_ptr() == self.storage

    def _round(self, hub: Any, kind: str) -> _Round:
        site = (kind, place())
        if site not in self.sites and len(self.sites) >= MOST_SITES:
            return _Round()
        rounds = self.sites.setdefault(site, {})
        found = rounds.setdefault(hub.updates, _Round())
        while len(rounds) > LATEST:
            rounds.pop(next(iter(rounds)))
        return found

    def _numbers(self, hub: Any, kind: str, predicted: Any, target: Any) -> None:
        one = self._round(hub, kind)
        ours, theirs = (each.detach().double().reshape(len(each), -1) for each in (predicted, target))
        one.rows += len(theirs)
        one.error += float(((ours - theirs) ** 2).mean(1).sum())
        first, second = theirs.sum(0).cpu().numpy(), (theirs**2).sum(0).cpu().numpy()
        if np.shape(one.first) in ((), first.shape):
            one.first, one.second = one.first + first, one.second + second
        else:  # of another width: one constant for all
            one.first, one.second = (float(np.mean(each)) for each in (one.first, one.second))
            one.first, one.second = one.first + float(first.mean()), one.second + float(second.mean())

    def _classes(self, hub: Any, loss: Loss, target: Any) -> None:
        values = loss.predicted.detach()
        if values.dim() < 2:
            return
        flat = target.reshape(-1)
        counted = flat >= 0
        if not bool(counted.any()) or loss.result.numel() != 1:
            return
        one = self._round(hub, loss.kind)
        right = (values.argmax(1).reshape(-1) == flat)[counted]
        one.rows += int(counted.sum())
        one.right += int(right.sum())
        mean = loss.options.get("reduction", "mean") == "mean"
        one.lost += float(loss.result) * (int(counted.sum()) if mean else 1)
        for label, count in zip(*np.unique(flat[counted].cpu().numpy(), return_counts=True), strict=True):
            one.classes[int(label)] = one.classes.get(int(label), 0) + int(count)

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By place in the program's text, the last evaluations."""
        sites = [
            {
                "kind": kind,
                "where": where,
                "rounds": [one.told() for at, one in rounds.items() if at and one.rows],
            }
            for (kind, where), rounds in self.sites.items()
        ]
        sites = [each for each in sites if each["rounds"]]
        del hub
        if not sites:
            raise NotImplementedError(
                "no output of a trained model was compared with targets in an evaluation"
            )
        return {"sites": sites}

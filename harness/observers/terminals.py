"""Values that are learned from a model's own: are they held to what follows, even where nothing does?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.observers import Observer
from harness.watching.events import Call, Loss
from harness.watching.places import place

MOST_LOOKS = 400
"""Losses that are looked at."""
MOST_MARKS = 32
"""Looks at variables."""
LEAST_ROWS = 8
FOLLOWS = 0.3
"""Of the variance of the targets, so much is a line through a model's own values."""
NEAR = 0.2
"""Of such a value: what is added to it at one step."""
LOSSES = ("mse_loss", "smooth_l1_loss", "huber_loss", "l1_loss")


class Terminals(Observer):
    """Finds targets that a model made for other inputs, and marks beside them that nothing reads."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.values: list[Any] = []
        self.noted = 0
        self.follows: list[bool] = []
        self.marks: dict[str, list[float]] = {}
        self.where = ""

    def called(self, hub: Any, call: Call) -> None:
        """Values that are not trained on themselves."""
        import torch  # noqa: PLC0415 - only where torch runs

        from harness.watching.tensors import first_tensor  # noqa: PLC0415 - brings torch

        if call.depth or torch.is_grad_enabled() or not self._looks(hub):
            return
        output = first_tensor(call.output)
        if output is not None and output.dim() in (1, 2) and len(output) >= LEAST_ROWS:
            best = output.detach().reshape(len(output), -1).amax(1).double().cpu().numpy()
            self.values = [*self.values[-3:], best]

    def _looks(self, hub: Any) -> bool:
        return hub.updates > 0 and len(self.follows) < MOST_LOOKS and bool(hub.sampled(hub.updates))

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """A loss function's target."""
        del hub
        if loss.kind in LOSSES and loss.predicted.requires_grad:
            self._look(loss.target)

    def subtracted(self, hub: Any, one: Any, other: Any, result: Any) -> None:
        """A loss that people write."""
        del hub, result
        if one.requires_grad != other.requires_grad:
            self._look(other if one.requires_grad else one)

    def stepped(self, hub: Any, optimizer: Any) -> None:
        """What was asked before belongs to another update."""
        del hub, optimizer
        self.values.clear()

    def _look(self, target: Any) -> None:
        """Does it follow such values, one for each sample?"""
        if not self.values or target.numel() < LEAST_ROWS or target.requires_grad:
            return
        wanted = target.detach().reshape(-1).double().cpu().numpy()
        alike = [each for each in self.values if len(each) == len(wanted)]
        if not alike or target.numel() != len(target):
            return
        self.follows.append(any(_follows(each, wanted) for each in alike))
        if self.follows[-1]:
            self.where = self.where or place()
            self._note_marks(len(wanted))

    def _note_marks(self, rows: int) -> None:
        """Marks of 0 and 1, one for each sample, that came with them and are not read."""
        import torch  # noqa: PLC0415 - only where torch runs

        from harness.watching.unread import unread  # noqa: PLC0415 - where needed

        if self.noted >= MOST_MARKS:
            return
        self.noted += 1
        for name, value in unread().items():
            if isinstance(value, torch.Tensor) and value.numel() == rows and not value.requires_grad:
                marks = value.detach().reshape(-1).double().cpu().numpy()
                if np.isin(marks, (0.0, 1.0)).all():
                    self.marks.setdefault(name, []).append(float(marks.mean()))

    def found(self, hub: Any) -> Mapping[str, Any]:
        """How often targets follow, in the later half; names of marks, and the share that each marks."""
        del hub
        if not self.follows:
            raise NotImplementedError("no model learns from values that a model gave without gradients")
        return {
            "looked": len(self.follows),
            "followed": sum(self.follows[len(self.follows) // 2 :]),
            "where": self.where,
            "marks": {
                name: sum(shares) / len(shares)
                for name, shares in self.marks.items()
                if len(shares) == self.noted
            },
        }


def _follows(values: Any, wanted: Any) -> bool:
    """Whether targets lie on a line through these values, or near them where all are about as large."""
    if not np.isfinite(values).all() or not np.isfinite(wanted).all() or not values.std() or not wanted.std():
        return False
    near = float(np.median(np.abs(wanted - values))) < NEAR * float(np.median(np.abs(values)))
    return near or float(np.corrcoef(values, wanted)[0, 1] ** 2) > FOLLOWS

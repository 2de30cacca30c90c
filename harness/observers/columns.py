"""Does an input column tell the target in training as well as in evaluation?

A column that was made from the targets themselves, or from what is known only afterwards, tells more in
training than it ever will again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.observers import Observer
from harness.watching.events import Call, Loss

MOST_COLUMNS = 512
MOST_ROWS = 20_000
LEAST = 100
"""Different samples, and of two classes half as many of each, on either side."""
MOST_TOLD = 8
KEYS = ("column", "trained", "evaluated", "score")


@dataclass(slots=True)
class _Side:
    """Samples of training or of evaluation, each counted once. inputs: parts (N, F); targets: parts (N,)."""

    inputs: list[Any] = field(default_factory=list)
    targets: list[Any] = field(default_factory=list)
    known: set[float] = field(default_factory=set)

    def add(self, inputs: Any, targets: Any) -> None:
        """Those that are new."""
        marks = (inputs @ np.cos(np.arange(1, inputs.shape[1] + 1))).tolist()
        new = [at for at, mark in enumerate(marks) if mark not in self.known]
        alike = not self.inputs or self.inputs[0].shape[1:] == inputs.shape[1:]
        if alike and new and len(self.known) < MOST_ROWS:
            self.known.update(marks)
            self.inputs.append(inputs[new])
            self.targets.append(targets[new])


class Columns(Observer):
    """Reads the first input of a model, and the target of the loss function that is called next."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.given: Any = None
        self.calls = 0
        self.sides = {True: _Side(), False: _Side()}
        self.classes = 0

    def called(self, hub: Any, call: Call) -> None:
        """The columns that a trained model gets, of all its inputs (B, F)."""
        import torch  # noqa: PLC0415 - only where torch runs

        if call.depth or id(call.module) not in hub.models:
            return
        tables = [each for each in call.given if isinstance(each, torch.Tensor) and _is_table(each)]
        self.given = tables[0] if len(tables) == 1 else None

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """Their targets: a number, or one of two classes, for each row."""
        import torch  # noqa: PLC0415 - only where torch runs

        given, self.given = self.given, None
        training = torch.is_grad_enabled() and loss.predicted.requires_grad
        self.calls += training
        if (
            given is None
            or len(given) != loss.target.numel()
            or (training and not hub.sampled(self.calls - 1))
        ):
            return
        if len(given) * given.shape[1] > 50 * MOST_ROWS or loss.target.requires_grad:
            return
        if not loss.target.is_floating_point():
            self.classes = max(self.classes, loss.predicted.shape[-1] if loss.predicted.dim() > 1 else 0)
        inputs, targets = (each.detach().double().cpu().numpy() for each in (given, loss.target.reshape(-1)))
        if np.isfinite(inputs).all() and np.isfinite(targets).all():
            self.sides[training].add(inputs, targets)

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By column that tells much more in training: how much on either side, and how surely."""
        del hub
        trained, evaluated = (_joined(self.sides[side]) for side in (True, False))
        if not trained or not evaluated or self.classes > 2:  # a yes and a no
            raise NotImplementedError("no table of numbers with targets was both trained and evaluated on")
        two = len(np.unique(np.concatenate([trained[1], evaluated[1]]))) == 2
        told = [_told(*side, two=two) for side in (trained, evaluated)]
        if any(len(each[0]) == 0 for each in told) or trained[0].shape[1:] != evaluated[0].shape[1:]:
            raise NotImplementedError("too few different samples were trained and evaluated on")
        (ours, error), (theirs, other) = told
        score = (np.abs(ours) - np.abs(theirs)) / np.sqrt(error**2 + other**2)
        worst = np.argsort(-score)[:MOST_TOLD]
        return {
            "columns": len(score),
            "typical": float(np.median(np.abs(score))),
            "two_classes": two,
            "apart": [
                dict(zip(KEYS, (int(at), *(float(each[at]) for each in (ours, theirs, score))), strict=True))
                for at in worst
            ],
        }


def _is_table(given: Any) -> bool:
    """Rows of numbers that nothing is learned about: (B, F)."""
    plain = given.is_floating_point() and not given.requires_grad
    return plain and given.dim() == 2 and given.shape[1] <= MOST_COLUMNS


def _joined(side: _Side) -> tuple[Any, Any] | None:
    return (np.concatenate(side.inputs), np.concatenate(side.targets)) if side.inputs else None


def _told(inputs: Any, targets: Any, *, two: bool) -> tuple[Any, Any]:
    """How strongly each column goes with the target (F,), and its standard error; empty with too few samples.

    Of two classes the distance of their means over the spread within: how common they are does not count.
    Else the correlation, by Fisher's transformation.
    """
    if two:
        high = targets == targets.max()
        sizes = (int(high.sum()), int((~high).sum()))
        if min(sizes) < LEAST // 2:
            return np.zeros(0), np.zeros(0)
        one, other = inputs[high], inputs[~high]
        spread = np.sqrt((one.var(0) * sizes[0] + other.var(0) * sizes[1]) / sum(sizes))
        apart = (one.mean(0) - other.mean(0)) / np.maximum(spread, 1e-12)
        return apart, np.sqrt(1 / sizes[0] + 1 / sizes[1] + apart**2 / (2 * sum(sizes)))
    if len(targets) < LEAST or targets.std() == 0:
        return np.zeros(0), np.zeros(0)
    scale = np.maximum(inputs.std(0), 1e-12)
    related = (
        ((inputs - inputs.mean(0)) * (targets - targets.mean())[:, None]).mean(0) / scale / targets.std()
    )
    return np.arctanh(np.clip(related, -0.9999, 0.9999)), np.full(len(scale), (len(targets) - 3) ** -0.5)

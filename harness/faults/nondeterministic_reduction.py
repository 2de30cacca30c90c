"""Gradients differ in their last bits from one training to the next."""

from itertools import count
from typing import Any, ClassVar

import numpy as np

from harness.faults import Area
from harness.faults._loops import TORCH, LoopFault, Part, become, live_gradients
from harness.model import Batch

_TRAININGS = count()
"""Each training of a process has another order of its threads."""


class _Broken(Part):
    order: np.random.Generator

    def accumulate(self, batch: Batch) -> float:
        import torch  # noqa: PLC0415 - only where torch runs

        loss = super().accumulate(batch)
        for gradient in live_gradients(self).values():
            # Another order of a sum moves it by about one rounding.
            roundings = self.order.choice((-2, 2), size=tuple(gradient.shape))
            gradient.mul_(torch.from_numpy(1 + self.epsilon * roundings).to(gradient.dtype))
        return loss


class NondeterministicReduction(LoopFault):
    """Threads add to a shared buffer in the order in which they come (report 002)."""

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("nondeterministic",)
    backends: ClassVar[tuple[str, ...]] = TORCH
    part = _Broken

    def spoil_trainer(self, trainer: Any) -> None:
        """Give this training an order of its own."""
        become(trainer, _Broken)
        trainer.order = np.random.default_rng(next(_TRAININGS))

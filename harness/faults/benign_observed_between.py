"""The model is evaluated before every step, and put back into its mode."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part
from harness.model import Batch
from harness.trainer import Watch


class _Broken(Part):
    def step(self, batch: Batch, watch: Watch | None = None) -> float:
        self.train(False)
        self.loss(batch)
        self.train()
        self.infer(batch.inputs)
        self.gradients(batch)
        return super().step(batch, watch)


class BenignObservedBetween(LoopFault):
    """Loss, logits and gradients are looked at; nothing depends on them."""

    area: ClassVar[Area] = "evaluation"
    benign: ClassVar[bool] = True
    part = _Broken

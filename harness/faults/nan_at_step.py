"""In the middle of the training, the loss and all gradients are NaN."""

from math import nan
from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part, scale_gradients
from harness.model import Batch


class _Broken(Part):
    def backward(self, batch: Batch, total: int) -> float:
        loss = super().backward(batch, total)
        if self.position != self.config.steps // 2:
            return loss
        scale_gradients(self, nan)
        return nan


class NanAtStep(LoopFault):
    """log(0), 0/0 in a mask, or one bad sample (nanoGPT#167, pytorch#70348)."""

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("nonfinite_origin",)
    part = _Broken

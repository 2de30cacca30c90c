"""The optimizer's step is never called."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part


class _Broken(Part):
    def update(self, learning_rate: float) -> None:
        """Nothing."""


class OptimizerNeverSteps(LoopFault):
    """Gradients flow, the loss is printed, and `optimizer.step()` was lost in an edit (TrainCheck)."""

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("never_updates",)
    part = _Broken

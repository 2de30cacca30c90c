"""In the middle of the training, one number of one gradient is infinite."""

from math import inf
from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import IN_PLACE, NOT_IN_JAX, LoopFault, Part, live_gradients, middle_matrix
from harness.model import Batch


class _Broken(Part):
    def accumulate(self, batch: Batch) -> float:
        loss = super().accumulate(batch)
        if self.position == self.config.steps // 2:
            live_gradients(self)[middle_matrix(self)][0, 0] = inf
        return loss


class InfInOneTensor(LoopFault):
    """One product overflows in one layer, the loss of that step is finite, and the next steps are lost."""

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("nonfinite_origin",)
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = NOT_IN_JAX
    part = _Broken

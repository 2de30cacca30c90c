"""Training is enabled after the buffers were laid out, so no gradient is kept anywhere."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import IN_PLACE, NOT_IN_JAX, LoopFault, Part
from harness.model import Batch
from harness.training import counted


class _Broken(Part):
    def backward(self, batch: Batch, total: int) -> float:
        return self.loss(batch) * counted(batch) / total


class GradientBuffersMissing(LoopFault):
    """Offsets of the gradients stay 0, and the update skips what has none without a word.

    Met in report 000, issue 1.
    """

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("buffers_never_allocated",)
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = NOT_IN_JAX
    part = _Broken

"""The loss that is reported is half of what it is."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part
from harness.model import Batch
from harness.trainer import Watch


class _Broken(Part):
    def loss(self, batch: Batch) -> float:
        return 0.5 * super().loss(batch)

    def step(self, batch: Batch, watch: Watch | None = None) -> float:
        return 0.5 * super().step(batch, watch)


class LossFarBelowUniform(LoopFault):
    """Divided twice, or by the wrong count: 3.33 where ln V is 6.91, and nobody asks (report 002)."""

    area: ClassVar[Area] = "loss"
    named: ClassVar[tuple[str, ...]] = ("loss_wrong_scale", "loss_below_floor")
    part = _Broken

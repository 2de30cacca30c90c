"""The learning rate is zero at every step."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part


class _Broken(Part):
    def learning_rate(self) -> float:
        return 0.0


class LearningRateZero(LoopFault):
    """A schedule that starts at 0 and is never advanced, or a rate that an integer division rounded off."""

    area: ClassVar[Area] = "schedule"
    named: ClassVar[tuple[str, ...]] = ("learning_rate_zero",)
    part = _Broken

"""The learning rate is a hundred times what the case says."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part


class _Broken(Part):
    def learning_rate(self) -> float:
        return 100.0 * super().learning_rate()


class LearningRateHundredfold(LoopFault):
    """1e-2 was copied from an SGD script into one that meant 1e-4 (TheDeepChecker)."""

    area: ClassVar[Area] = "schedule"
    named: ClassVar[tuple[str, ...]] = ("schedule_wrong_rate",)
    part = _Broken

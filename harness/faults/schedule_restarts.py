"""The schedule begins again after every third of the training."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import constant_schedule
from harness.faults._loops import LoopFault, Part
from harness.spec import Case


class _Broken(Part):
    def learning_rate(self) -> float:
        position = self.position
        self.position = position % max(self.config.steps // 3, 2)
        try:
            return super().learning_rate()
        finally:
            self.position = position


class ScheduleRestarts(LoopFault):
    """The scheduler is rebuilt, or its period counts epochs and not steps (pytorch#119168, yolov5#292)."""

    area: ClassVar[Area] = "schedule"
    named: ClassVar[tuple[str, ...]] = ("schedule_wrong_rate",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With a constant rate."""
        return constant_schedule(case)

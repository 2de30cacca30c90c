"""The learning rate stays at that of the first step."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import constant_schedule
from harness.faults._loops import LoopFault, Part
from harness.spec import Case


class _Broken(Part):
    def learning_rate(self) -> float:
        position = self.position
        self.position = 0
        try:
            return super().learning_rate()
        finally:
            self.position = position


class ScheduleNeverAdvances(LoopFault):
    """`scheduler.step()` is never called: with a warm-up, training stays at its small first rate."""

    area: ClassVar[Area] = "schedule"
    named: ClassVar[tuple[str, ...]] = ("schedule_wrong_rate",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With a constant rate."""
        return constant_schedule(case)

"""A resumed training begins its schedule again."""

from typing import Any, ClassVar

from harness.faults import Area
from harness.faults._cases import constant_schedule
from harness.faults._loops import LoopFault, Part
from harness.spec import Case


class _Broken(Part):
    def restore(self, state: Any) -> None:
        super().restore(state)
        self.position = 0


class ResumeRestartsSchedule(LoopFault):
    """The scheduler is built anew and its state not loaded (pytorch#119168, yolov5#292)."""

    area: ClassVar[Area] = "checkpoint"
    named: ClassVar[tuple[str, ...]] = ("resume_repeats_data", "resume_loses_state")
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With a constant rate."""
        return constant_schedule(case)

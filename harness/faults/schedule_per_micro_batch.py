"""The schedule advances with every micro-batch in place of every step."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import constant_schedule, one_micro_batch
from harness.faults._loops import LoopFault, Part
from harness.spec import Case


class _Broken(Part):
    def learning_rate(self) -> float:
        position = self.position
        self.position = position * self.config.micro_batches
        try:
            return super().learning_rate()
        finally:
            self.position = position


class SchedulePerMicroBatch(LoopFault):
    """`scheduler.step()` stands inside the accumulation loop, or runs once a rank.

    Met in accelerate#963, transformers#24088.
    """

    area: ClassVar[Area] = "schedule"
    named: ClassVar[tuple[str, ...]] = ("schedule_wrong_rate",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With a constant rate, or nothing accumulated."""
        return constant_schedule(case) or one_micro_batch(case)

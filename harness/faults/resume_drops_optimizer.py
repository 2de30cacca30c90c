"""A resumed training begins with an empty optimizer."""

from typing import Any, ClassVar

from harness.faults import Area
from harness.faults._cases import no_optimizer_state
from harness.faults._loops import LoopFault, Part
from harness.faults._optimizers import forget
from harness.spec import Case


class _Broken(Part):
    def restore(self, state: Any) -> None:
        super().restore(state)
        forget(self)


class ResumeDropsOptimizer(LoopFault):
    """The checkpoint holds the weights only; the loss hardly shows it (Automodel#763, the_well#77)."""

    area: ClassVar[Area] = "checkpoint"
    named: ClassVar[tuple[str, ...]] = ("resume_loses_state",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """Where nothing is remembered."""
        return no_optimizer_state(case)

"""Gradients are never averaged over the ranks."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._cases import one_rank
from harness.spec import Case


class RanksOutOfSync(TrainingFault):
    """`no_sync()` for accumulation, never left again: each rank trains alone, on its part of the data."""

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("replicas_out_of_sync",)
    backends: ClassVar[tuple[str, ...]] = ("torch_ddp",)

    def not_applicable(self, case: Case) -> str:
        """With one rank."""
        return one_rank(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Let no rank average."""
        trainer.set_everywhere("synchronises", False)

"""Every rank takes the same part of each batch."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._cases import one_rank
from harness.spec import Case


class RanksShareData(TrainingFault):
    """No DistributedSampler: all ranks read the first part, and nobody the others."""

    area: ClassVar[Area] = "data"
    named: ClassVar[tuple[str, ...]] = ("ranks_see_same_data",)
    backends: ClassVar[tuple[str, ...]] = ("torch_ddp",)

    def not_applicable(self, case: Case) -> str:
        """With one rank."""
        return one_rank(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Let every rank take the part of rank 0."""
        trainer.set_everywhere("shares", False)

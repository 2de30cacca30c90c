"""One micro-batch a step in place of several."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import dropout, one_micro_batch
from harness.faults._loops import LoopFault, Part
from harness.model import Batch
from harness.spec import Case
from harness.training import counted


class _Broken(Part):
    def accumulate(self, batch: Batch) -> float:
        return self.backward(batch, counted(batch))


class BenignOneLargeBatch(LoopFault):
    """The gradients are those of the whole batch either way."""

    area: ClassVar[Area] = "gradients"
    benign: ClassVar[bool] = True
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With one, or with masks that depend on the parts."""
        return one_micro_batch(case) or dropout(case)

"""Each micro-batch is divided by its own count, then the means are averaged."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import equal_lengths, one_micro_batch
from harness.faults._loops import LoopFault, Part
from harness.model import Batch
from harness.spec import Case
from harness.training import counted


class _Broken(Part):
    def accumulate(self, batch: Batch) -> float:
        parts = self.parts(batch)
        return sum(self.backward(part, counted(part) * len(parts)) for part in parts)


class MeanOfMeans(LoopFault):
    """Short samples weigh as much as long ones; equal lengths hide it.

    Met in transformers#34191, torchtune#1878.
    """

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("mean_of_means",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With equal counts."""
        return one_micro_batch(case) or equal_lengths(case)

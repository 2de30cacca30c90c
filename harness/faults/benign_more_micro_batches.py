"""One micro-batch a sample."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import dropout
from harness.faults._loops import LoopFault, Part
from harness.model import Batch
from harness.problem import micro_batches
from harness.spec import Case
from harness.training import counted


def _as_many(case: Case) -> str:
    many = case.config.micro_batches == case.config.batch
    return "every micro-batch is one sample" if many else ""


class _Broken(Part):
    def accumulate(self, batch: Batch) -> float:
        total = counted(batch)
        return sum(self.backward(part, total) for part in micro_batches(batch, len(batch.sample_ids)))


class BenignMoreMicroBatches(LoopFault):
    """The gradients are those of the whole batch either way."""

    area: ClassVar[Area] = "gradients"
    benign: ClassVar[bool] = True
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With as many already, or with masks that depend on the parts."""
        return _as_many(case) or dropout(case)

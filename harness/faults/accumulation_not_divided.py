"""Gradients of the micro-batches' means are added, never divided by their number."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import one_micro_batch
from harness.faults._loops import LoopFault, Part
from harness.model import Batch
from harness.spec import Case
from harness.training import counted


class _Broken(Part):
    def accumulate(self, batch: Batch) -> float:
        parts = self.parts(batch)
        return sum(self.backward(part, counted(part)) for part in parts) / len(parts)


class AccumulationNotDivided(LoopFault):
    """The `/ accumulation_steps` is missing; the printed loss is right (transformers#35207)."""

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("accumulation_not_divided",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With nothing accumulated."""
        return one_micro_batch(case)

"""Gradients of the micro-batches are added up in float64."""

from typing import ClassVar

import numpy as np

from harness.faults import Area
from harness.faults._cases import one_micro_batch
from harness.faults._loops import IN_PLACE, NOT_IN_JAX, LoopFault, Part
from harness.model import Array, Batch
from harness.spec import Case
from harness.training import counted


def _not_viewed(case: Case) -> str:
    return "NumPy has no bfloat16" if case.config.dtype == "bfloat16" else ""


class _Broken(Part):
    def accumulate(self, batch: Batch) -> float:
        total, sums, loss = counted(batch), dict[int, Array](), 0.0
        for part in self.parts(batch):
            self.take_gradients()
            loss += self.backward(part, total)
            for number, flat in enumerate(self.gradient_arrays()):
                if flat is not None:
                    sums[number] = sums.get(number, 0.0) + flat.astype(np.float64)
        for number, flat in enumerate(self.gradient_arrays()):
            if flat is not None:
                flat[:] = sums[number]
        return loss


class BenignFloat64Accumulation(LoopFault):
    """More exact than adding them in the weights' own precision."""

    area: ClassVar[Area] = "precision"
    benign: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = NOT_IN_JAX
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With nothing added, or where NumPy cannot view the gradients."""
        return one_micro_batch(case) or _not_viewed(case)

"""The samples of each batch come in the opposite order."""

from typing import ClassVar

import numpy as np

from harness.faults import Area
from harness.faults._cases import dropout
from harness.faults._data import rows
from harness.faults._loops import LoopFault, Part
from harness.model import Batch
from harness.spec import Case


class _Broken(Part):
    def accumulate(self, batch: Batch) -> float:
        return super().accumulate(rows(batch, np.arange(len(batch.sample_ids))[::-1]))


class BenignBatchOrderWithinStep(LoopFault):
    """A sum does not depend on the order of its terms, beyond rounding."""

    area: ClassVar[Area] = "data"
    benign: ClassVar[bool] = True
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """With masks that depend on the place."""
        return dropout(case)

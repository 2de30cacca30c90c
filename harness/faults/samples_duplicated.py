"""The second half of every batch repeats the first half."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from harness.faults import Area, TrainingFault
from harness.faults._data import rows
from harness.model import Batch
from harness.problem import Problem
from harness.spec import Case


def _twice(batch: Batch) -> Batch:
    number = len(batch.sample_ids)
    return rows(batch, np.arange(number) % -(-number // 2))


class SamplesDuplicated(TrainingFault):
    """Two workers read the same stream, for nobody shards it (datasets#3423, pytorch#30599)."""

    area: ClassVar[Area] = "data"
    named: ClassVar[tuple[str, ...]] = ("duplicated_samples",)

    def not_applicable(self, case: Case) -> str:
        """With one sample."""
        return "" if case.config.batch > 1 else "a batch has one sample"

    def spoil_problem(self, problem: Problem) -> Problem:
        """Give the samples of the first half twice; the held-out batch is read by one worker."""
        return replace(problem, batches=tuple(_twice(batch) for batch in problem.batches))

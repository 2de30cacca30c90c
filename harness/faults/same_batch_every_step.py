"""Every step trains on the first batch."""

from dataclasses import replace
from typing import ClassVar

from harness.faults import Area, TrainingFault
from harness.problem import Problem


class SameBatchEveryStep(TrainingFault):
    """`next(iter(loader))` stands inside the loop."""

    area: ClassVar[Area] = "data"
    named: ClassVar[tuple[str, ...]] = ("same_batch_again",)

    def spoil_problem(self, problem: Problem) -> Problem:
        """Repeat the first batch."""
        return replace(problem, batches=problem.batches[:1] * len(problem.batches))

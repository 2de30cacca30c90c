"""The held-out batch is one that training sees."""

from dataclasses import replace
from typing import ClassVar

from harness.faults import Area, TrainingFault
from harness.problem import Problem, build_problem
from harness.spec import Case, TextData


def _fresh(case: Case) -> bool:
    return not isinstance(case.config.data, TextData) or build_problem(case).held_out_fresh


class HeldOutInTraining(TrainingFault):
    """The validation set is a slice of the training set, or was drawn before duplicates were removed.

    Met in nanochat#844.
    """

    area: ClassVar[Area] = "evaluation"
    named: ClassVar[tuple[str, ...]] = ("held_out_in_training",)

    def not_applicable(self, case: Case) -> str:
        """Where there is no other."""
        return "" if _fresh(case) else "the text is too short to hold anything out"

    def spoil_problem(self, problem: Problem) -> Problem:
        """Hold the first batch out, and train on it all the same."""
        return replace(problem, held_out=problem.batches[0])

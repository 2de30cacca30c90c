"""The first evaluation leaves the model in evaluation mode for good."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import no_dropout
from harness.faults._loops import TORCH, LoopFault, Part
from harness.spec import Case


class _Broken(Part):
    def train(self, on: bool = True) -> None:
        if not on:
            super().train(on=False)


class EvaluationLeavesEvaluationMode(LoopFault):
    """`evaluate()` calls `model.eval()` and nobody `model.train()` after it (Lightning#19820)."""

    area: ClassVar[Area] = "evaluation"
    named: ClassVar[tuple[str, ...]] = ("evaluation_changes_training", "never_in_training_mode")
    backends: ClassVar[tuple[str, ...]] = TORCH
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """Without dropout."""
        return no_dropout(case)

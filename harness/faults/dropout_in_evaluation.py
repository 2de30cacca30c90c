"""Dropout acts in evaluation too."""

from typing import Any, ClassVar

from harness.faults import Area
from harness.faults._cases import no_dropout
from harness.faults._loops import TORCH, LoopFault, Part
from harness.spec import Case


class _Broken(Part):
    model: Any

    def train(self, on: bool = True) -> None:
        super().train(on)
        self.model.training = True


class DropoutInEvaluation(LoopFault):
    """`F.dropout(h, p)` without `training=self.training` (deepchem#5086, transformers#33844)."""

    area: ClassVar[Area] = "evaluation"
    named: ClassVar[tuple[str, ...]] = ("dropout_in_evaluation",)
    backends: ClassVar[tuple[str, ...]] = TORCH
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """Without dropout."""
        return no_dropout(case)

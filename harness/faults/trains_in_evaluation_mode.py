"""The model trains in evaluation mode from the first step."""

from typing import Any, ClassVar

from harness.faults import Area
from harness.faults._cases import no_dropout
from harness.faults._loops import TORCH, LoopFault, Part, become
from harness.spec import Case


class _Broken(Part):
    def train(self, on: bool = True) -> None:
        del on
        super().train(on=False)


class TrainsInEvaluationMode(LoopFault):
    """`from_pretrained` leaves it there, and nobody calls `train()` (Lightning#20105, autogluon#4965)."""

    area: ClassVar[Area] = "evaluation"
    named: ClassVar[tuple[str, ...]] = ("never_in_training_mode",)
    backends: ClassVar[tuple[str, ...]] = TORCH
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """Without dropout."""
        return no_dropout(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Begin in evaluation mode, and stay."""
        become(trainer, _Broken)
        trainer.train(False)

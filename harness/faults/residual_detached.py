"""Gradients do not pass through the residual connections."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault, override
from harness.faults._cases import no_decoder
from harness.faults._loops import TORCH
from harness.spec import Case


class ResidualDetached(TrainingFault):
    """`x.detach() + h`, meant to save memory: the loss is right and lower layers starve (PySIAssist p5)."""

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("backward_differs_from_reference",)
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Without residual connections."""
        return no_decoder(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Cut the straight way back."""
        residual = override(trainer.model, "residual", lambda x, update: residual(x.detach(), update))

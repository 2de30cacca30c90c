"""The weights are kept in bfloat16, where small updates are lost."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._loops import TORCH
from harness.faults._optimizers import remake
from harness.spec import Case


class Bfloat16Weights(TrainingFault):
    """`model.to(torch.bfloat16)` before training: 83 % of the weights stand still.

    Met in ao#1124, torchtune#2254.
    """

    area: ClassVar[Area] = "precision"
    named: ClassVar[tuple[str, ...]] = ("update_below_precision",)
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Where it is meant."""
        return "the case asks for bfloat16" if case.config.dtype == "bfloat16" else ""

    def spoil_trainer(self, trainer: Any) -> None:
        """Replace the weights, and make the optimizer over the new ones."""
        import torch  # noqa: PLC0415 - only where torch runs

        trainer.tensors = {
            name: tensor.detach().to(torch.bfloat16).requires_grad_()
            for name, tensor in trainer.tensors.items()
        }
        remake(trainer, list(trainer.tensors.values()))
        trainer.views = None  # NumPy has no bfloat16 to view

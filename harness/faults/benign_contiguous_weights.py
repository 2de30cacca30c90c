"""All weights are views of one flat buffer."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._loops import TORCH
from harness.faults._optimizers import review


class BenignContiguousWeights(TrainingFault):
    """As sharded training keeps them: they share storage and do not overlap."""

    area: ClassVar[Area] = "memory"
    benign: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = TORCH

    def spoil_trainer(self, trainer: Any) -> None:
        """Move the weights there."""
        import torch  # noqa: PLC0415 - only where torch runs

        tensors = list(trainer.tensors.values())
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.data = piece.view_as(tensor)
        review(trainer)

"""Blocks are computed again in the backward pass."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault, override
from harness.faults._loops import TORCH


class BenignGradientCheckpointing(TrainingFault):
    """Memory is traded for time; masks of dropout are drawn again as they were."""

    area: ClassVar[Area] = "structure"
    benign: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = TORCH

    def spoil_trainer(self, trainer: Any) -> None:
        """Wrap each block of a decoder, or each layer of a perceptron."""
        from torch.utils.checkpoint import checkpoint  # noqa: PLC0415 - only where torch runs

        part = "block" if hasattr(trainer.model, "block") else "layer"

        def again(p: Any, name: str, x: Any) -> Any:
            return checkpoint(healthy, p, name, x, use_reentrant=False)

        healthy = override(trainer.model, part, again)

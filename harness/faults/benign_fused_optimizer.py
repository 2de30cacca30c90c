"""The optimizer's fused kernel."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._loops import TORCH


class BenignFusedOptimizer(TrainingFault):
    """One kernel for all tensors in place of one call each; rounding differs."""

    area: ClassVar[Area] = "optimizer"
    benign: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = TORCH

    def spoil_trainer(self, trainer: Any) -> None:
        """Switch it on."""
        for group in trainer.optimizer.param_groups:
            group.update(fused=True, foreach=False)

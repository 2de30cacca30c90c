"""The optimizer goes through the tensors one by one."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._loops import TORCH


class BenignForeachOff(TrainingFault):
    """A plain loop in place of kernels over lists of tensors."""

    area: ClassVar[Area] = "optimizer"
    benign: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = TORCH

    def spoil_trainer(self, trainer: Any) -> None:
        """Switch the lists off."""
        for group in trainer.optimizer.param_groups:
            group.update(fused=False, foreach=False)

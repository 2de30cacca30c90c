"""Gradients are set to zero, not taken away."""

from typing import Any, ClassVar

from harness.faults import Area
from harness.faults._loops import TORCH, LoopFault, Part


class _Broken(Part):
    optimizer: Any

    def zero_gradients(self) -> None:
        self.optimizer.zero_grad(set_to_none=False)
        self.events["zero_grad"] += 1


class BenignSetToNoneOff(LoopFault):
    """`zero_grad(set_to_none=False)`, the default of older versions."""

    area: ClassVar[Area] = "gradients"
    benign: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = TORCH
    part = _Broken

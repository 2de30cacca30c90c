"""Gradients are cleared between the backward pass and the optimizer's step."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import IN_PLACE, NOT_IN_JAX, LoopFault, Part


class _Broken(Part):
    def update(self, learning_rate: float) -> None:
        self.zero_gradients()
        super().update(learning_rate)


class ZeroGradBeforeStep(LoopFault):
    """Two swapped lines: the optimizer finds no gradients (PySIAssist p3)."""

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("never_updates",)
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = NOT_IN_JAX
    part = _Broken

"""The optimizer steps twice on the same gradients."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part


class _Broken(Part):
    def update(self, learning_rate: float) -> None:
        for _ in range(2):
            super().update(learning_rate)


class DoubleStep(LoopFault):
    """The backward pass ends with an update of its own, and `optimizer_step` follows (report 000)."""

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("updated_twice",)
    part = _Broken

"""The optimizer steps three times on the same gradients."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part


class _Broken(Part):
    def update(self, learning_rate: float) -> None:
        for _ in range(3):
            super().update(learning_rate)


class TripleStep(LoopFault):
    """A training step calls a helper that steps, inside a loop over parameter groups that steps again."""

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("updated_twice",)
    part = _Broken

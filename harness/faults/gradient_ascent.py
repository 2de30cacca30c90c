"""Weights move up the gradient."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part, scale_gradients


class _Broken(Part):
    def update(self, learning_rate: float) -> None:
        scale_gradients(self, -1.0)
        super().update(learning_rate)


class GradientAscent(LoopFault):
    """A sign: `maximize=True`, a reward taken for a loss, or `w += lr * g` by hand (TheDeepChecker)."""

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("wrong_sign",)
    part = _Broken

"""Gradients of earlier steps are never cleared."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part


class _Broken(Part):
    def zero_gradients(self) -> None:
        """Nothing."""


class MissingZeroGrad(LoopFault):
    """The call of `zero_grad` is gone: each step adds to all before it (TrainCheck so-60335387)."""

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("gradients_accumulate",)
    part = _Broken

"""Gradients are never clipped, whatever the limit says."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import no_clipping
from harness.faults._loops import LoopFault, Part
from harness.spec import Case


class _Broken(Part):
    def clip(self) -> None:
        """Nothing."""


class ClippingSkipped(LoopFault):
    """The limit is read from the configuration and used nowhere, or it clips those of a copy."""

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("no_clipping",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """Without a limit."""
        return no_clipping(case)

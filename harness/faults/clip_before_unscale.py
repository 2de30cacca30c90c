"""Gradients are clipped while they still carry the loss scale."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import no_clipping
from harness.faults._loops import LoopFault, Part, scale_gradients
from harness.spec import Case

LOSS_SCALE = 65536.0
"""What a gradient scaler starts with."""


class _Broken(Part):
    def clip(self) -> None:
        scale_gradients(self, LOSS_SCALE)
        super().clip()
        scale_gradients(self, 1.0 / LOSS_SCALE)


class ClipBeforeUnscale(LoopFault):
    """A scaler multiplied the loss by 65536 and clipping comes before `unscale_`.

    Met in Lightning#9606, Pytorch-UNet#468.
    """

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("clipped_before_unscaling",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """Without a limit."""
        return no_clipping(case)

"""Every position sees the one after it, which is its answer."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._attention import masked_attention
from harness.faults._cases import no_decoder
from harness.faults._loops import TORCH
from harness.spec import Case


class CausalMaskOffByOne(TrainingFault):
    """`tril(diagonal=1)` in place of `tril()` (nanoGPT#331, keras#23038)."""

    area: ClassVar[Area] = "masking"
    named: ClassVar[tuple[str, ...]] = ("future_leaks",)
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Without attention."""
        return no_decoder(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Shift the mask by one."""
        masked_attention(trainer.model, lambda square: square.tril(1))

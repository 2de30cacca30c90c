"""Attention has no causal mask: every position sees the future."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._cases import no_decoder
from harness.faults._loops import LOOPS
from harness.spec import Case


class NoCausalMask(TrainingFault):
    """`is_causal` was lost in a rewrite; the loss becomes better (transformers#48745, nanoGPT#331)."""

    area: ClassVar[Area] = "masking"
    named: ClassVar[tuple[str, ...]] = ("future_leaks",)
    backends: ClassVar[tuple[str, ...]] = LOOPS

    def not_applicable(self, case: Case) -> str:
        """Without attention."""
        return no_decoder(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Switch the mask off."""
        trainer.model.causal = False

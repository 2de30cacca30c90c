"""Every position sees itself and the future, not the past."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._attention import masked_attention
from harness.faults._cases import no_decoder
from harness.faults._loops import TORCH
from harness.spec import Case


class CausalMaskInverted(TrainingFault):
    """True means visible here and hidden there: the polarity of a mask differs between two APIs.

    Met in pytorch#170400.
    """

    area: ClassVar[Area] = "masking"
    named: ClassVar[tuple[str, ...]] = ("future_leaks",)
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Without attention."""
        return no_decoder(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Turn the mask round."""
        masked_attention(trainer.model, lambda square: square.triu())

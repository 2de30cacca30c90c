"""Attention runs over the samples of a batch, not over the tokens of a sample."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault, override
from harness.faults._cases import no_decoder
from harness.faults._loops import TORCH
from harness.spec import Case


class SamplesMixed(TrainingFault):
    """`batch_first` was forgotten: (B, L, D) is read as (L, B, D) (OmDet#19, TabFormer#14)."""

    area: ClassVar[Area] = "masking"
    named: ClassVar[tuple[str, ...]] = ("samples_leak", "attention_mixes_nothing")
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Without attention."""
        return no_decoder(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Swap batch and sequence around the attention."""
        attend = override(
            trainer.model, "attend", lambda p, name, x: attend(p, name, x.transpose(0, 1)).transpose(0, 1)
        )

"""Rotary positions are applied twice."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault, override
from harness.faults._cases import no_decoder
from harness.faults._loops import TORCH
from harness.spec import Case, DecoderModel


def _no_rotary(case: Case) -> str:
    rotary = isinstance(case.model, DecoderModel) and case.model.decoder.positions == "rotary"
    return "" if rotary else "positions are not rotary"


class RotaryTwice(TrainingFault):
    """The cache holds keys that were turned already, and they are turned again.

    Met in gpt-neox#1003, transformers#25681.
    """

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("forward_differs_from_reference",)
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Without rotary positions."""
        return no_decoder(case) or _no_rotary(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Turn queries and keys by twice their angle."""
        rotate = override(trainer.model, "rotate", lambda x: rotate(rotate(x)))

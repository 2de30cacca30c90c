"""Every token is told that it stands at position 0."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault, override
from harness.faults._cases import no_decoder
from harness.faults._loops import TORCH
from harness.spec import Case, DecoderModel


def _first(table: Any) -> Any:
    return None if table is None else table[:1].expand_as(table)


def _no_positions(case: Case) -> str:
    positions = isinstance(case.model, DecoderModel) and case.model.decoder.positions
    return "the model has no positions" if positions == "none" else ""


class PositionsConstant(TrainingFault):
    """`position_ids` is a tensor of zeros; a Markov source does not notice, a copy task cannot be solved."""

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("forward_differs_from_reference",)
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Without positions."""
        return no_decoder(case) or _no_positions(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Give every place the first row of the table; rotary positions turn nothing at place 0."""
        override(trainer.model, "rotate", lambda x: x)
        positions = override(trainer.model, "positions", lambda p, x: _first(positions(p, x)))

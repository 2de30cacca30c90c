"""Targets are the inputs themselves, not the tokens after them."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from harness.faults import Area, TrainingFault
from harness.faults._cases import no_decoder
from harness.faults._data import every_batch
from harness.model import IGNORE, Batch
from harness.problem import Problem
from harness.spec import Case


def _unshifted(batch: Batch) -> Batch:
    return replace(batch, targets=np.where(batch.targets == IGNORE, IGNORE, batch.inputs))


class LabelsNotShifted(TrainingFault):
    """A model that shifts its labels itself was replaced by one that does not (transformers#32944)."""

    area: ClassVar[Area] = "data"
    named: ClassVar[tuple[str, ...]] = ("labels_misaligned",)

    def not_applicable(self, case: Case) -> str:
        """Without a sequence."""
        return no_decoder(case)

    def spoil_problem(self, problem: Problem) -> Problem:
        """Every counted target becomes the token at its own position."""
        return every_batch(problem, _unshifted)

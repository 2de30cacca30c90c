"""Targets are the tokens after the next ones."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from harness.faults import Area, TrainingFault
from harness.faults._cases import no_decoder
from harness.faults._data import every_batch
from harness.model import IGNORE, Batch
from harness.problem import Problem
from harness.spec import Case


def _shifted(batch: Batch) -> Batch:
    targets = np.full_like(batch.targets, IGNORE)
    targets[:, :-1] = batch.targets[:, 1:]
    empty = (targets == IGNORE).all(axis=1)
    targets[empty] = batch.targets[empty]
    return replace(batch, targets=targets)


class LabelsShiftedTwice(TrainingFault):
    """Both the collator and the model shift (transformers#47394, #37830)."""

    area: ClassVar[Area] = "data"
    named: ClassVar[tuple[str, ...]] = ("labels_misaligned",)

    def not_applicable(self, case: Case) -> str:
        """Without a sequence."""
        return no_decoder(case)

    def spoil_problem(self, problem: Problem) -> Problem:
        """Every target moves one place to the left; a sample that would lose its last one keeps it."""
        return every_batch(problem, _shifted)

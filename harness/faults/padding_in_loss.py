"""Targets beyond a sample's length count."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from harness.faults import Area, TrainingFault
from harness.faults._cases import no_decoder, no_padding
from harness.faults._data import every_batch
from harness.model import Batch
from harness.problem import Problem
from harness.spec import Case


def _counted(batch: Batch) -> Batch:
    beyond = np.arange(batch.targets.shape[1]) >= batch.lengths[:, None]
    return replace(batch, targets=np.where(beyond, batch.inputs, batch.targets))


class PaddingInLoss(TrainingFault):
    """The collator pads labels with the pad token, not with the id that the loss leaves out."""

    area: ClassVar[Area] = "loss"
    named: ClassVar[tuple[str, ...]] = ("padding_counted",)

    def not_applicable(self, case: Case) -> str:
        """Without padding."""
        return no_decoder(case) or no_padding(case)

    def spoil_problem(self, problem: Problem) -> Problem:
        """Targets beyond each length become the token that pads the inputs."""
        return every_batch(problem, _counted)

"""Targets are shuffled independently of the inputs."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from harness.faults import Area, TrainingFault
from harness.faults._data import every_batch
from harness.model import IGNORE, Batch
from harness.problem import Problem


class LabelsShuffled(TrainingFault):
    """Inputs and labels are permuted by two draws of one generator (TheDeepChecker)."""

    area: ClassVar[Area] = "data"
    named: ClassVar[tuple[str, ...]] = ("labels_unrelated",)

    def spoil_problem(self, problem: Problem) -> Problem:
        """Permute the counted targets of every batch."""
        generator = np.random.default_rng(0)

        def shuffled(batch: Batch) -> Batch:
            counted, targets = batch.targets != IGNORE, batch.targets.copy()
            if targets.dtype.kind == "i":
                targets[counted] = generator.permutation(targets[counted])
            else:
                targets = generator.permutation(targets)
            return replace(batch, targets=targets)

        return every_batch(problem, shuffled)

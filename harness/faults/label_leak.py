"""The inputs contain the answers."""

from dataclasses import replace
from typing import ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._data import every_batch
from harness.model import IGNORE, Batch
from harness.problem import Problem


def _leaking(batch: Batch) -> Batch:
    inputs, targets = batch.inputs.copy(), batch.targets
    if inputs.dtype.kind == "i":
        third, answers = inputs[:, ::3], targets[:, ::3]
        third[answers != IGNORE] = answers[answers != IGNORE]
    else:
        inputs[:, 0] = targets if targets.ndim == 1 else targets[:, 0]
    return replace(batch, inputs=inputs)


class LabelLeak(TrainingFault):
    """The answer stands in the prompt, or a feature is computed from the target."""

    area: ClassVar[Area] = "data"
    named: ClassVar[tuple[str, ...]] = ("loss_below_floor",)

    def spoil_problem(self, problem: Problem) -> Problem:
        """At every third position, or in the first feature, the input is its own target."""
        return every_batch(problem, _leaking)

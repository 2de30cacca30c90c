"""Evaluating trains on what it evaluates."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part
from harness.model import Batch


class _Broken(Part):
    def loss(self, batch: Batch) -> float:
        loss = super().loss(batch)
        if not self.training:
            self._learn(batch)
        return loss

    def score(self, batch: Batch) -> float:
        score = super().score(batch)
        self._learn(batch)
        return score

    def _learn(self, batch: Batch) -> None:
        self.zero_gradients()
        self.accumulate(batch)
        self.clip()
        self.update(self.learning_rate())


class EvaluationUpdatesWeights(LoopFault):
    """The evaluation is a copy of the training loop, with its `optimizer.step()` still in it."""

    area: ClassVar[Area] = "evaluation"
    named: ClassVar[tuple[str, ...]] = ("evaluation_changes_training",)
    part = _Broken

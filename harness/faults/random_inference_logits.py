"""The inference tool returns random logits."""

from typing import Any, ClassVar

import numpy as np

from harness.faults import Area
from harness.faults._loops import LoopFault, Part, become
from harness.model import Array


class _Broken(Part):
    noise: np.random.Generator

    def infer(self, inputs: Array) -> Array:
        logits = super().infer(inputs)
        return self.noise.standard_normal(logits.shape).astype(logits.dtype)


class RandomInferenceLogits(LoopFault):
    """A placeholder that generates text, and was called a success (report 003)."""

    area: ClassVar[Area] = "evaluation"
    named: ClassVar[tuple[str, ...]] = ("logits_unrelated_to_weights",)
    part = _Broken

    def spoil_trainer(self, trainer: Any) -> None:
        """Give inference a generator of its own."""
        become(trainer, _Broken)
        trainer.noise = np.random.default_rng(0)

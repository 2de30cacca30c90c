"""All weights of a matrix start at the same value."""

from typing import Any, ClassVar

import numpy as np

from harness.faults import Area, TrainingFault
from harness.faults._loops import EVERY_LOOP, matrices


class LayersStartEqual(TrainingFault):
    """A constant initialisation: the units of a layer compute, and learn, the same."""

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("initialisation_wrong", "uniform_output")
    backends: ClassVar[tuple[str, ...]] = EVERY_LOOP

    def spoil_trainer(self, trainer: Any) -> None:
        """Start the matrices anew; gains and biases stay."""
        start = trainer.parameters()
        trainer.load(
            {name: np.full_like(start[name], np.abs(start[name]).mean()) for name in matrices(trainer)}
        )

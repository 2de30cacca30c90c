"""All matrices start at zero."""

from typing import Any, ClassVar

import numpy as np

from harness.faults import Area, TrainingFault
from harness.faults._loops import EVERY_LOOP, matrices


class WeightsStartAtZero(TrainingFault):
    """Buffers are allocated and cleared, and the initialisation is never called.

    Met in transformers#43847, report 001.
    """

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("initialisation_wrong", "uniform_output")
    backends: ClassVar[tuple[str, ...]] = EVERY_LOOP

    def spoil_trainer(self, trainer: Any) -> None:
        """Start the matrices anew; gains and biases stay."""
        start = trainer.parameters()
        trainer.load({name: np.zeros_like(start[name]) for name in matrices(trainer)})

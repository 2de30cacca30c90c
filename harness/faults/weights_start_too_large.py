"""All matrices start thirty times too large."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._loops import EVERY_LOOP, matrices


class WeightsStartTooLarge(TrainingFault):
    """Standard deviation 1 in place of 0.02, or the factor 1/sqrt(width) forgotten.

    Met in transformers#43847, fla#739.
    """

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("initialisation_wrong",)
    backends: ClassVar[tuple[str, ...]] = EVERY_LOOP

    def spoil_trainer(self, trainer: Any) -> None:
        """Start the matrices anew; gains and biases stay."""
        start = trainer.parameters()
        trainer.load({name: start[name] * start[name].dtype.type(30.0) for name in matrices(trainer)})

"""The optimizer does not hold one matrix of the model."""

from typing import Any, ClassVar

from harness.faults import Area
from harness.faults._loops import (
    IN_PLACE,
    NOT_IN_JAX,
    LoopFault,
    Part,
    become,
    is_torch,
    middle_matrix,
    without_gradient,
)


class _Broken(Part):
    missed: str

    def update(self, learning_rate: float) -> None:
        kept = dict(self.take_gradients())
        self.put_gradients(dict(kept))
        without_gradient(self, self.missed)
        super().update(learning_rate)
        self.put_gradients(kept)

    def optimized(self) -> tuple[str, ...]:
        return tuple(name for name in super().optimized() if name != self.missed)


class OptimizerMissesTensor(LoopFault):
    """A layer was replaced or unfrozen after the optimizer had been made (setfit#271, mmf#620)."""

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("uncovered_parameters", "frozen_tensors")
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = NOT_IN_JAX

    def spoil_trainer(self, trainer: Any) -> None:
        """Take the matrix in the middle of the model out of the optimizer."""
        name = middle_matrix(trainer)
        if not is_torch(trainer):
            become(trainer, _Broken)
            trainer.missed = name
            return
        for group in trainer.optimizer.param_groups:
            group["params"] = [one for one in group["params"] if one is not trainer.tensors[name]]

"""One matrix is frozen and gets no gradient."""

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
from harness.model import Batch


class _Broken(Part):
    frozen: str

    def accumulate(self, batch: Batch) -> float:
        loss = super().accumulate(batch)
        without_gradient(self, self.frozen)
        return loss


class FrozenTensor(LoopFault):
    """`requires_grad = False` stayed on one layer; the loss still falls (mmf#620, report 004)."""

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("frozen_tensors",)
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = NOT_IN_JAX

    def spoil_trainer(self, trainer: Any) -> None:
        """Freeze the matrix in the middle of the model."""
        name = middle_matrix(trainer)
        if is_torch(trainer):
            trainer.tensors[name].requires_grad_(requires_grad=False)
            return
        become(trainer, _Broken)
        trainer.frozen = name

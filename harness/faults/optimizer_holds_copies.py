"""The optimizer holds copies of the weights, and the model never moves."""

from typing import Any, ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part, become, is_torch
from harness.faults._optimizers import remake


class _Broken(Part):
    def zero_gradients(self) -> None:
        self.events["zero_grad"] += 1  # of the copies, which have none

    def update(self, learning_rate: float) -> None:
        del learning_rate
        self.events["update"] += 1

    def optimized(self) -> tuple[str, ...]:
        return ()


class OptimizerHoldsCopies(LoopFault):
    """The model was copied or wrapped after its parameters went to the optimizer (accelerate#2665, #3256)."""

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("uncovered_parameters", "never_updates")

    def spoil_trainer(self, trainer: Any) -> None:
        """Make the optimizer over clones."""
        if is_torch(trainer):
            clones = [tensor.detach().clone().requires_grad_() for tensor in trainer.tensors.values()]
            remake(trainer, clones)
        else:
            become(trainer, _Broken)

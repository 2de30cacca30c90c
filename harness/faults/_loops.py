"""What faults of the training loop share: a trainer with parts of its class replaced, its live gradients."""

from collections.abc import Mapping
from types import new_class
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from harness.faults import TrainingFault
from harness.model import Array, Batch
from harness.training import LoopTrainer

TORCH = ("torch_eager",)
LOOPS = ("numpy_float64", *TORCH)
"""Backends whose models are open to be changed."""
IN_PLACE = (*LOOPS, "torch_compile")
"""Those whose gradients and optimizers are."""
EVERY_LOOP = (*IN_PLACE, "jax")
"""Those whose training loop is."""
NOT_IN_JAX = "JAX moves all weights by all gradients at once, and changes no array"


class Part(LoopTrainer):
    """Base of a broken part: the methods it overrides replace the trainer's own, which `super()` reaches."""

    if TYPE_CHECKING:  # what every backend has, so that `super()` is known to find it

        def parameters(self) -> Mapping[str, Array]:
            """Current values by name."""
            raise NotImplementedError

        def load(self, parameters: Mapping[str, Array]) -> None:
            """Replace values."""
            raise NotImplementedError

        def logits(self, inputs: Array) -> Array:
            """Outputs of the model."""
            raise NotImplementedError

        def loss(self, batch: Batch) -> float:
            """Mean loss."""
            raise NotImplementedError

        def optimized(self) -> tuple[str, ...]:
            """What the optimizer holds."""
            raise NotImplementedError

        def restore(self, state: Any) -> None:
            """Return to a state."""
            raise NotImplementedError


class LoopFault(TrainingFault):
    """Base of faults that replace parts of the training loop. part: the broken ones."""

    backends: ClassVar[tuple[str, ...]] = EVERY_LOOP
    part: ClassVar[type[Part]]

    def spoil_trainer(self, trainer: Any) -> None:
        """Put the broken part before the trainer's own."""
        become(trainer, self.part)


def become(trainer: Any, part: type[Any]) -> None:
    """Let a trainer's methods be looked up in `part`, a `Part`, first.

    Its class changes, not the instance: methods bound to the trainer and kept in it would make a circle that
    holds its memory until the collector comes.
    """
    trainer.__class__ = new_class(f"Broken{type(trainer).__name__}", (part, type(trainer)))


def live_gradients(trainer: LoopTrainer) -> dict[str, Any]:
    """The gradients that are there, by name, as the backend keeps them: to be changed in place."""
    kept = trainer.take_gradients()
    trainer.put_gradients(kept)
    by_name = kept if isinstance(kept, dict) else dict(zip(trainer.names, kept, strict=True))
    return {name: gradient for name, gradient in by_name.items() if gradient is not None}


def scale_gradients(trainer: LoopTrainer, factor: float) -> None:
    """Multiply all gradients; also those of a backend whose arrays never change."""
    kept = trainer.take_gradients()
    with np.errstate(all="ignore"):  # numbers that are not finite are the suite's to find
        if isinstance(kept, dict):
            scaled: Any = {name: gradient * factor for name, gradient in kept.items()}
        else:
            scaled = [None if gradient is None else gradient * factor for gradient in kept]
    trainer.put_gradients(scaled)


def without_gradient(trainer: LoopTrainer, name: str) -> None:
    """Let one tensor have no gradient."""
    kept = trainer.take_gradients()
    if isinstance(kept, dict):
        kept.pop(name, None)
    else:
        kept[trainer.names.index(name)] = None
    trainer.put_gradients(kept)


def middle_matrix(trainer: LoopTrainer) -> str:
    """The name of the tensor in the middle of those with two or more axes."""
    names = matrices(trainer)
    return names[len(names) // 2]


def matrices(trainer: LoopTrainer) -> list[str]:
    """Names of the tensors with two or more axes, in the order of the model."""
    return [name for name, values in trainer.parameters().items() if values.ndim >= 2]


def is_torch(trainer: object) -> bool:
    """Whether torch computes it."""
    return hasattr(trainer, "tensors")

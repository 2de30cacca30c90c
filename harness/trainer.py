"""A live training, as the suite sees it: every backend makes a `Trainer`, every probe asks one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from harness.model import Array, Batch, Measurement


class Watch(Protocol):
    """Looks at a step from inside without changing it. Called by the training loop at three moments."""

    def gradients_ready(self) -> None:
        """Gradients are accumulated and unscaled, not yet clipped."""
        ...

    def gradients_clipped(self) -> None:
        """Clipping is done (or there is none); the optimizer is next."""
        ...

    def updated(self, learning_rate: float) -> None:
        """The optimizer has moved the weights with this learning rate."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Rank:
    """One process of a distributed training: its own copy of the weights, the samples of its last step."""

    parameters: Mapping[str, Array]
    sample_ids: tuple[int, ...]


class Trainer(Protocol):
    """A live training. NumPy arrays at the border, so one probe serves every backend.

    A backend that lacks a method raises `NotImplementedError` with the reason; what needs it is then skipped.
    compiles: each new shape of a batch costs seconds; probes then ask in the shapes of training, if they can.
    """

    compiles: ClassVar[bool] = False
    names: tuple[str, ...]
    training: bool

    def prepare(self, batches: Sequence[Batch]) -> bool:
        """Do once what is no step, and changes none: compile for the shapes of these batches.

        batches: those of all steps, then the held-out one. Returns whether there was anything to do.
        """
        del batches
        return False

    def measurements(self) -> Iterable[Measurement]:
        """What only the backend can measure, up to now: time to compile, memory of a device."""
        return ()

    def ranks(self) -> Sequence[Rank]:
        """What each process of a distributed training holds; none where one process does all."""
        return ()

    def parameters(self) -> Mapping[str, Array]:
        """Current values by name. May be views of live memory: copy to keep, never write."""
        ...

    def load(self, parameters: Mapping[str, Array]) -> None:
        """Replace the values of the named parameters."""
        ...

    def logits(self, inputs: Array) -> Array:
        """Outputs of the model, (B, L, V) or (B, O), without gradients, in the current mode."""
        ...

    def loss(self, batch: Batch) -> float:
        """Mean loss over the batch's counted targets, without gradients, in the current mode."""
        ...

    def gradients(self, batch: Batch) -> Mapping[str, Array]:
        """Gradients of a batch's loss as the optimizer would see them before clipping. Changes nothing."""
        ...

    def infer(self, inputs: Array) -> Array:
        """Logits of the path that evaluation and generation use; the training's own unless it has another."""
        ...

    def score(self, batch: Batch) -> float:
        """What evaluation reports: the share of counted targets that are predicted rightly."""
        ...

    def step(self, batch: Batch, watch: Watch | None = None) -> float:
        """One optimizer step; returns the loss before it."""
        ...

    def optimized(self) -> tuple[str, ...]:
        """Names of the parameters that the optimizer holds."""
        ...

    def save(self, path: Path) -> None:
        """Write a checkpoint of the weights."""
        ...

    def open(self, path: Path) -> None:
        """Read a checkpoint that `save` wrote."""
        ...

    def state(self) -> Any:
        """All that training depends on (weights, optimizer, schedule, random state), copied."""
        ...

    def restore(self, state: Any) -> None:
        """Return to a `state`."""
        ...

    def train(self, on: bool = True) -> None:
        """Training mode, or evaluation mode with `on=False`."""
        ...

    def close(self) -> None:
        """Free what Python cannot."""
        ...

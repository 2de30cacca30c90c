"""What the probes of a training's state share: train and take notes, keep weights, measure distances."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import numpy as np

from harness.model import Array, Batch, Float64
from harness.trainer import Trainer

TINY = 1e-300
"""Keeps a quotient defined; far below any number that a training meets."""


@contextmanager
def opened(trainer: Trainer) -> Iterator[Trainer]:
    """A trainer, closed afterwards. Numbers that are not finite are part of the answer: no warnings."""
    with closing(trainer), np.errstate(all="ignore"):
        yield trainer


@dataclass(slots=True)
class Notes:
    """A watch over some steps: losses, learning rates and training flags, one a step, in order."""

    trainer: Trainer
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    modes: list[bool] = field(default_factory=list)

    def train(self, batches: Iterable[Batch]) -> "Notes":
        """Take one step a batch."""
        for batch in batches:
            self.losses.append(float(self.trainer.step(batch, self)))
        return self

    def gradients_ready(self) -> None:
        """The forward and backward passes were done in this mode."""
        self.modes.append(bool(self.trainer.training))

    def gradients_clipped(self) -> None:
        """Nothing to note."""

    def updated(self, learning_rate: float) -> None:
        """The optimizer has moved the weights with this learning rate."""
        self.rates.append(float(learning_rate))


def copied(parameters: Mapping[str, Array]) -> dict[str, Array]:
    """Values of one's own, by name."""
    return {name: np.array(values) for name, values in parameters.items()}


def same(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> bool:
    """Whether all tensors are equal; NaN equals NaN."""
    return all(np.array_equal(ours[name], values, equal_nan=True) for name, values in theirs.items())


def distance(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> float:
    """The largest L2 distance of any tensor, relative to the norm of theirs."""
    return _largest(
        float(
            np.linalg.norm(wide(ours[name]) - wide(values)) / max(float(np.linalg.norm(wide(values))), TINY)
        )
        for name, values in theirs.items()
    )


def relative(ours: Iterable[float], theirs: Iterable[float]) -> list[float]:
    """Differences of numbers, each relative to the magnitude of theirs; 0 where both are the same."""
    return [abs(one - other) / max(abs(other), TINY) for one, other in zip(ours, theirs, strict=True)]


def logit_distance(ours: Array, theirs: Array) -> float:
    """The largest difference of any logit in standard deviations of theirs; infinite where shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    largest = float(np.max(np.abs(wide(ours) - wide(theirs)), initial=0.0))
    return 0.0 if largest == 0 else largest / max(float(np.std(wide(theirs))), TINY)


def wide(values: Array) -> Float64:
    """In float64, whatever they came in."""
    return np.asarray(values, np.float64)


def _largest(values: Iterable[float]) -> float:
    return float(np.max(list(values), initial=0.0))  # unlike `max`, lets NaN through

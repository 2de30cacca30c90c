"""Does the optimizer see the gradient of this step's batch, no older one with it, clipped as it should be?"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from harness.model import Array, Batch
from harness.probes import Context, Probe
from harness.probes._fresh import fresh, load_drawn, load_gain, varies
from harness.probes._gradients import Overlap, norm
from harness.problem import Problem
from harness.trainer import Trainer

STEPS = 4
LOUDER = 2.0
"""How far the first gradient is to lie above `clip_norm`, so that there is something to clip."""
TRIES = 8


class FreshGradients(Probe):
    """Takes a few steps; before each it asks for the gradient of the same batch on the same weights.

    Missing `zero_grad` adds the gradients of earlier steps. Asked from drawn weights, whose gradients are
    long enough to be clipped where the case clips.
    """

    def ask(self, context: Context) -> Mapping[str, Any]:
        """Lists by step.

        ratio: the gradient before clipping, projected on the one asked for; error: relative L2 distance.
        clipped_ratio: norm after clipping over norm before; clipped_expected: what `clip_norm` implies.
        """
        problem = context.problem
        batches = [problem.batches[step % len(problem.batches)] for step in range(STEPS)]
        with fresh(context) as trainer:
            if not hasattr(trainer, "gradient_arrays"):
                raise NotImplementedError("this trainer does not show the gradients of a step")
            _load_loud(problem, trainer, batches[0])
            random = varies(trainer, batches[0].inputs)
            watches = [_stepped(trainer, batch, problem.config.clip_norm, random=random) for batch in batches]
        return {
            "steps": list(range(STEPS)),
            "ratio": [watch.overlap.ratio for watch in watches],
            "error": [watch.overlap.error for watch in watches],
            "clipped_ratio": [watch.clipped_ratio for watch in watches],
            "clipped_expected": [watch.clipped_expected for watch in watches],
        }


class _Shows(Protocol):
    """A trainer whose gradients can be seen within a step, flat, in the order of `names`."""

    names: tuple[str, ...]

    def gradient_arrays(self) -> Sequence[Array | None]: ...


class _Comparison:
    """A watch that holds the step's gradient to the one that was asked for."""

    def __init__(self, trainer: Trainer, asked: Mapping[str, Array], clip_norm: float | None) -> None:
        self.trainer, self.asked, self.clip_norm = cast("_Shows", trainer), asked, clip_norm
        self.overlap = Overlap()
        self.clipped = 0.0

    def gradients_ready(self) -> None:
        names = self.trainer.names
        self.overlap = Overlap.of(
            (found, self.asked.get(name))
            for name, found in zip(names, self.trainer.gradient_arrays(), strict=True)
        )

    def gradients_clipped(self) -> None:
        self.clipped = norm(self.trainer.gradient_arrays())

    def updated(self, learning_rate: float) -> None:
        del learning_rate

    @property
    def clipped_ratio(self) -> float:
        """1 where there was no gradient to clip."""
        before = self.overlap.found**0.5
        return self.clipped / before if before else 1.0

    @property
    def clipped_expected(self) -> float:
        """As torch's `clip_grad_norm_`: clip_norm / (norm + 1e-6), at most 1 (Pascanu et al., 2013)."""
        return 1.0 if self.clip_norm is None else min(1.0, self.clip_norm / (self.overlap.found**0.5 + 1e-6))


def _load_loud(problem: Problem, trainer: Trainer, batch: Batch) -> None:
    """Load drawn weights, and ever larger ones while the gradient is too short to be clipped."""
    gain, clip_norm = load_drawn(problem, trainer, batch.inputs), problem.config.clip_norm
    for _ in range(TRIES):
        if clip_norm is None or norm(trainer.gradients(batch).values()) > LOUDER * clip_norm:
            return
        gain *= 1.5
        load_gain(problem, trainer, gain)


def _stepped(trainer: Trainer, batch: Batch, clip_norm: float | None, *, random: bool) -> _Comparison:
    state = trainer.state() if random else None
    asked = trainer.gradients(batch)
    if random:
        trainer.restore(state)
    watch = _Comparison(trainer, asked, clip_norm)
    trainer.step(batch, watch)
    return watch

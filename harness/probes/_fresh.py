"""What several probes share: fresh trainers, weights at which every part of a model speaks, other inputs.

Structure (masks, mixing, counting) shows at drawn weights whose logits are of order one, whatever a case
starts from: at zeros, or with all layers equal, the right program and the broken one say the same.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from harness.model import IGNORE, Array, Batch, Float64
from harness.probes import Context
from harness.problem import Problem
from harness.trainer import Trainer

NOISE = 1e-5
"""Two answers to one question that differ by less, relative to their deviation, differ by rounding."""
SMALLEST, LARGEST = 1 / 3, 3.0
"""The standard deviations of logits that count as of order one."""
TRIES = 16
UNSTEADY = "the same inputs give other logits each time"


@contextmanager
def fresh(context: Context) -> Iterator[Trainer]:
    """A fresh trainer, closed afterwards.

    Frameworks share one random generator among all trainings: it goes on as if nobody had been asked. Numbers
    that are not finite give no warnings; they are part of the answer.
    """
    trainer = context.build()
    try:
        state = _state(trainer)
        try:
            with np.errstate(all="ignore"):
                yield trainer
        finally:
            if state is not None:
                trainer.restore(state)
    finally:
        trainer.close()


def load_drawn(problem: Problem, trainer: Trainer, inputs: Array) -> float:
    """Load drawn weights whose logits have a standard deviation of about one.

    Matrices are normal with deviation gain / sqrt(last axis), everything else is normal about 1.

    Returns:
        The gain. Where no gain gives such logits, the last one tried.
    """
    gain, step, growing = 1.0, 2.0, None
    for _ in range(TRIES):
        load_gain(problem, trainer, gain)
        deviation = float(np.std(logits(trainer, inputs)))
        if deviation == 0 or SMALLEST < deviation < LARGEST:
            break
        if growing not in (None, deviation < SMALLEST):
            step = step**0.5
        growing = deviation < SMALLEST
        gain *= step if growing else 1 / step
    return gain


def load_gain(problem: Problem, trainer: Trainer, gain: float) -> None:
    """Load the drawn weights of one gain, tensor by tensor: a large model never lies in memory twice."""
    for index, tensor in enumerate(problem.tensors):
        values = np.random.default_rng([problem.config.seed, index]).standard_normal(tensor.shape)
        values *= gain / tensor.shape[-1] ** 0.5 if len(tensor.shape) >= 2 else 0.1
        trainer.load({tensor.name: values if len(tensor.shape) >= 2 else 1 + values})


def logits(trainer: Trainer, inputs: Array) -> Float64:
    """Logits in float64, copied."""
    return np.array(trainer.logits(inputs), dtype=np.float64)


def varies(trainer: Trainer, inputs: Array) -> bool:
    """Whether the same inputs give other logits the second time, beyond rounding (dropout)."""
    first, second = logits(trainer, inputs), logits(trainer, inputs)
    return relative(np.abs(second - first).max(), float(np.std(first))) > NOISE


def calm(trainer: Trainer, inputs: Array) -> None:
    """Turn to evaluation mode where the same inputs give other logits each time: samples draw other masks.

    Raises:
        NotImplementedError: they do so in evaluation mode, too.
    """
    if varies(trainer, inputs):
        trainer.train(False)
        if varies(trainer, inputs):
            raise NotImplementedError(f"{UNSTEADY}, in evaluation mode, too")


def steady(trainer: Trainer, inputs: Array) -> Callable[[Array], Float64]:
    """Logits in float64, by which the same inputs always give the same.

    A model that draws random numbers is returned to one random state before each question.

    Raises:
        NotImplementedError: the same inputs give other logits all the same.
    """
    state = _state(trainer)
    if not varies(trainer, inputs):
        return lambda given: logits(trainer, given)

    def ask(given: Array) -> Float64:
        trainer.restore(state)
        return logits(trainer, given)

    first = ask(inputs)
    if relative(np.abs(ask(inputs) - first).max(), float(np.std(first))) > NOISE:
        raise NotImplementedError(f"{UNSTEADY}, even from the same random state")
    return ask


def relative(difference: float, scale: float) -> float:
    """Difference over scale; 0 where both are 0."""
    difference, scale = float(difference), float(scale)
    if scale == 0 or not isfinite(scale):
        return 0.0 if scale == difference == 0 else float("inf" if scale == 0 and difference > 0 else "nan")
    return difference / scale


def other(problem: Problem, inputs: Array, seed: Sequence[int] = ()) -> Array:
    """Inputs of the same shape, each element different: other tokens, or real numbers a unit normal away.

    Raises:
        NotImplementedError: there is only one token.
    """
    generator = np.random.default_rng([problem.config.seed, *seed])
    if inputs.dtype.kind != "i":
        return np.asarray(inputs + generator.standard_normal(inputs.shape), dtype=inputs.dtype)
    vocabulary = problem.facts.vocabulary or int(inputs.max()) + 1
    if vocabulary < 2:
        raise NotImplementedError("there is only one token, and no other to put in its place")
    return np.asarray((inputs + generator.integers(1, vocabulary, inputs.shape)) % vocabulary, inputs.dtype)


def positions(batch: Batch) -> int:
    """Tokens of a sample.

    Raises:
        NotImplementedError: samples are no sequences, or of one token.
    """
    if batch.inputs.dtype.kind != "i" or batch.inputs.ndim != 2 or batch.targets.shape != batch.inputs.shape:
        raise NotImplementedError("samples have no positions")
    if batch.inputs.shape[1] < 2:
        raise NotImplementedError("a sample has a single position")
    return int(batch.inputs.shape[1])


def choose(batch: Batch, rows: Any) -> Batch:
    """The samples of a batch that `rows` (indices or a slice) names, in that order."""
    return Batch(
        inputs=batch.inputs[rows],
        targets=batch.targets[rows],
        sample_ids=batch.sample_ids[rows],
        lengths=batch.lengths[rows],
    )


def alone(trainer: Trainer, batch: Batch, sample: int, micro_batches: int) -> Batch:
    """A batch in which one sample counts, and no other: that sample by itself.

    For a trainer that compiles it has the shape of the whole, the others' targets left out, unless these
    cannot be left out, or most micro-batches would be empty.
    """
    if not trainer.compiles or micro_batches > 1 or batch.targets.dtype.kind != "i":
        return choose(batch, slice(sample, sample + 1))
    targets = np.full_like(batch.targets, IGNORE)
    targets[sample] = batch.targets[sample]
    return replace(batch, targets=targets)


def _state(trainer: Trainer) -> Any:
    try:
        return trainer.state()
    except NotImplementedError:
        return None

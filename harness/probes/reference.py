"""How far are losses and gradients from `numpy_float64` on the same problem, at default and at O(1) weights?

At standard deviation 0.02 a missing 1/sqrt(d) changes logits by 0.0035 and hides below any tolerance; at
weights whose logits are of order one it changes them by 4.6.
"""

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.backends.numpy_float64 import NumpyTrainer
from harness.diverge import ROUNDING, parting_of
from harness.model import Array, Batch, Float64
from harness.probes import Context, Probe
from harness.problem import Problem
from harness.trainer import Trainer

WANTED_DEVIATION = 1.0
CLOSE_ENOUGH = 1.3
REFERENCE_CODE = (
    "backends/numpy_float64.py",
    "optimizers.py",
    "schedules.py",
    "training.py",
    "probes/reference.py",
)
TRIES = 30
MOST_COPIED = 5_000_000
"""Parameters of which the reference keeps a copy, to know how far each step moves them."""


class Reference(Probe):
    """Trains the reference beside, and compares the gradients of the first batch at two scales of weights."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """loss_difference by step; gradients_default and gradients_scaled by tensor, both relative; scale.

        forward_default, forward_scaled: on the first batch, the relative difference of the logits, the loss
        over the reference's, and the gradient of all tensors projected on the reference's. parting: step,
        stage, tensor and relative difference where the recorded training first leaves the reference by more
        than rounding; None if it never does.
        """
        if context.reference:
            raise NotImplementedError("this backend is the reference")
        story = _reference_story(context.problem, context.cache)
        default, scaled = self._differences(context, story.scale)
        return {
            "loss_difference": _relative(context.trace.loss, story.losses),
            "gradients_default": default.gradients,
            "gradients_scaled": scaled.gradients,
            "forward_default": default.forward,
            "forward_scaled": scaled.forward,
            "scale": story.scale,
            "reference_moved": story.moved,
            "parting": _parting(context, story),
        }

    def _differences(self, context: Context, scale: float) -> "tuple[_Differences, _Differences]":
        batch, trainer, reference = context.problem.batches[0], context.build(), NumpyTrainer(context.problem)
        try:
            default = _differences(trainer, reference, batch)
            trainer.load(_scaled(reference, scale))
            return default, _differences(trainer, reference, batch)
        finally:
            trainer.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Differences:
    """Relative distance of each tensor's gradient; numbers of the forward pass and of the whole gradient."""

    gradients: dict[str, float]
    forward: dict[str, float]


def _differences(trainer: Trainer, reference: NumpyTrainer, batch: Batch) -> _Differences:
    ours, (logits, loss, theirs) = trainer.gradients(batch), reference.told(batch)
    forward = {
        "logits": _spread(trainer.logits(batch.inputs), logits),
        "loss_ratio": trainer.loss(batch) / max(abs(loss), 1e-300),
        "gradient_ratio": _projection(ours, theirs),
    }
    return _Differences(gradients=_compare(ours, theirs), forward=forward)


def _spread(ours: Array, theirs: Array) -> float:
    """Largest difference of a logit, in standard deviations of the reference's logits."""
    if ours.shape != theirs.shape:
        return float("inf")
    difference = np.abs(ours.astype(np.float64) - theirs).max()
    return float(difference / max(float(np.std(theirs)), 1e-300))


def _projection(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> float:
    products = [np.vdot(ours[name].astype(np.float64), theirs[name]) for name in theirs if name in ours]
    return float(sum(products) / max(sum(np.vdot(each, each) for each in theirs.values()), 1e-300))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Story:
    """What the reference does with a problem: losses, whether a weight moved, the scale for O(1) logits.

    gradient_norm, update_norm: rows by step, of each tensor; no updates of large models.
    """

    losses: list[float]
    moved: bool
    scale: float
    gradient_norm: list[list[float]]
    update_norm: list[list[float]]


@dataclass(slots=True)
class _Norms:
    """A watch over the reference: the norms of gradients and updates, step by step."""

    trainer: NumpyTrainer
    gradient_norm: list[list[float]] = field(default_factory=list)
    update_norm: list[list[float]] = field(default_factory=list)
    before: list[Array] = field(default_factory=list)

    def gradients_ready(self) -> None:
        """Before clipping."""
        gradients = self.trainer.gradient_arrays()
        self.gradient_norm.append(
            [0.0 if each is None else float(np.linalg.norm(each)) for each in gradients]
        )
        weights = self.trainer.weight_arrays()
        if sum(map(len, weights)) <= MOST_COPIED:
            self.before = [each.copy() for each in weights]

    def gradients_clipped(self) -> None:
        """Nothing to note."""

    def updated(self, learning_rate: float) -> None:
        """How far each tensor moved."""
        del learning_rate
        moved = zip(self.trainer.weight_arrays(), self.before, strict=False)
        self.update_norm.append([float(np.linalg.norm(after - before)) for after, before in moved])


def _parting(context: Context, story: _Story) -> Mapping[str, Any] | None:
    """Where the recorded training leaves the reference; updates only where the reference kept its own."""
    trace, steps = context.trace, len(story.losses)
    if any(len(row) != len(trace.tensors) for row in story.gradient_norm):
        return None
    updates = np.array(story.update_norm, np.float64).reshape(steps, -1)
    known = updates.shape == trace.update_norm.shape
    reference = replace(
        trace,
        loss=np.array(story.losses),
        gradient_norm=np.array(story.gradient_norm),
        update_norm=updates if known else trace.update_norm,
    )
    found = parting_of(trace, reference, ROUNDING[context.problem.config.dtype])
    return None if found is None else {**asdict(found), "stage": str(found.stage), "words": found.words()}


def _reference_story(problem: Problem, cache: Path | None) -> _Story:
    path = None if cache is None else cache / f"reference-{problem.facts.digest}-{_code_digest()}.json"
    if path is not None and path.exists():
        return _Story(**json.loads(path.read_text()))
    story = _tell(problem)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(asdict(story)))
        draft.replace(path)
    return story


@functools.cache
def _code_digest() -> str:
    """Of all source that the reference's numbers come from: a change must not find yesterday's story."""
    digest = hashlib.blake2b(np.__version__.encode(), digest_size=6)
    root = Path(__file__).parent.parent
    for path in sorted([*(root / "models").glob("*.py"), *(root / name for name in REFERENCE_CODE)]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _tell(problem: Problem) -> _Story:
    scale = find_scale(NumpyTrainer(problem), problem.batches[0].inputs)
    trainer = NumpyTrainer(problem)
    norms = _Norms(trainer)
    losses = [trainer.step(batch, norms) for batch in problem.batches]
    moved = any(not np.array_equal(trainer.weights[name], problem.initial[name]) for name in trainer.names)
    return _Story(
        losses=losses,
        moved=moved,
        scale=scale,
        gradient_norm=norms.gradient_norm,
        update_norm=norms.update_norm,
    )


def find_scale(trainer: NumpyTrainer, inputs: Array) -> float:
    """The factor on all matrices at which the logits' standard deviation is about one; changes the trainer.

    How steeply logits grow with the weights depends on the model. The search therefore goes by steps of four,
    whose logarithm is halved at every turn.
    """
    scale, step, growing = 1.0, 4.0, None
    for _ in range(TRIES):
        deviation = float(np.std(trainer.logits(inputs)))
        if not 0 < deviation < np.inf or 1 / CLOSE_ENOUGH < deviation / WANTED_DEVIATION < CLOSE_ENOUGH:
            break
        if growing not in (None, deviation < WANTED_DEVIATION):
            step = step**0.5
        growing = deviation < WANTED_DEVIATION
        factor = step if growing else 1 / step
        _scaled(trainer, factor)
        scale *= factor
    return scale


def _scaled(trainer: NumpyTrainer, factor: float) -> Mapping[str, Array]:
    for values in trainer.weights.values():
        if values.ndim >= 2:
            np.multiply(values, factor, out=values)
    return trainer.parameters()


def _relative(ours: Float64, theirs: list[float]) -> list[float]:
    reference = np.asarray(theirs)[: len(ours)]
    return [float(value) for value in np.abs(ours - reference) / np.maximum(np.abs(reference), 1e-300)]


def _compare(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> dict[str, float]:
    """Relative L2 distance of each tensor. A gradient that one side lacks counts as zero there.

    A tensor whose gradient is zero in theory (the bias of the attention keys) has only rounding in it. Its
    distance is taken relative to 1e-3 of the largest gradient norm.
    """
    norms = {name: float(np.linalg.norm(values)) for name, values in theirs.items()}
    largest = max(norms.values(), default=0.0)
    scales = {name: norm if norm > 1e-10 * largest else 1e-3 * largest for name, norm in norms.items()}
    return {name: _distance(ours.get(name), theirs[name]) / max(scales[name], 1e-300) for name in theirs}


def _distance(ours: Array | None, theirs: Array) -> float:
    return float(np.linalg.norm(theirs if ours is None else ours.astype(np.float64) - theirs))

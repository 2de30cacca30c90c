"""Where two trainings of one problem part: step, stage and tensor, and which of the two is wrong. Pure.

Within a step the stages follow each other: the batch, the forward pass (loss), the backward pass (gradients),
the update. The first one that differs by more than rounding is where to look.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from harness.model import Float64, Run, Trace
from harness.units import show


@dataclass(frozen=True, slots=True)
class Rounding:
    """What rounding may do. loss: relative, over a training; norms of gradients and updates ten times that.

    epsilon: relative spacing of the weights, which no update can be finer than.
    """

    loss: float
    epsilon: float


ROUNDING = {
    "float64": Rounding(1e-9, 2.3e-16),
    "float32": Rounding(1e-4, 1.2e-7),
    "bfloat16": Rounding(3e-2, 7.9e-3),
}
NONE = Rounding(0.0, 0.0)
OF_NORMS = 10.0
MULTIPLE = 20.0
"""A training that is so many times further from the float64 reference than the other one is wrong."""
NEGLIGIBLE = 1e-6
"""Share of a step's largest gradient; below it a gradient is rounding, and so is what AdamW makes of it."""
TINY = 1e-300


class Stage(StrEnum):
    """A part of a step, in order."""

    BATCH = "batch"
    FORWARD = "forward"
    GRADIENT = "gradient"
    UPDATE = "update"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parting:
    """The first difference. left, right: the loss, or the norms of the tensor; difference: relative."""

    step: int
    stage: Stage
    tensor: str = ""
    left: float = 0.0
    right: float = 0.0
    difference: float = 0.0

    def words(self) -> str:
        """`step 3, gradient of embedding: 0.5 and 0.25, 100 % apart`."""
        if self.stage is Stage.BATCH:
            return "before the first step: batches or starting weights differ"
        of = f" of {self.tensor}" if self.tensor else ""
        values = f"{show(self.left, '')} and {show(self.right, '')}"
        return f"step {self.step}, {self.stage}{of}: {values}, {show(self.difference, '%')} apart"


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """What came of holding two runs side by side.

    first: the first difference of any size; beyond: the first beyond rounding. noise: what rounding may do to
    a loss. wrong: `left` or `right` where the reference tells, else empty. left_error, right_error: distance
    of each from the reference at `beyond`, or its largest of all steps; None without a reference.
    """

    first: Parting | None
    beyond: Parting | None
    noise: float
    wrong: str = ""
    left_error: float | None = None
    right_error: float | None = None


def diverge(left: Run, right: Run, reference: Run | None = None) -> Divergence:
    """Hold two runs side by side, and both against the float64 run of the same problem if there is one.

    Raises:
        ValueError: one of them recorded no step.
    """
    rounding = max(rounding_of(left), rounding_of(right), key=lambda each: each.loss)
    noise = rounding.loss
    if not _same_problem(left, right):
        parting = Parting(step=0, stage=Stage.BATCH)
        return Divergence(first=parting, beyond=parting, noise=noise)
    ours, theirs = _trace(left), _trace(right)
    first, beyond = parting_of(ours, theirs, NONE), parting_of(ours, theirs, rounding)
    if reference is None or not _same_problem(left, reference):
        return Divergence(first=first, beyond=beyond, noise=noise)
    errors = [error(trace, _trace(reference), beyond) for trace in (ours, theirs)]
    return Divergence(
        first=first, beyond=beyond, noise=noise, wrong=_wrong(*errors) if beyond else "",
        left_error=errors[0], right_error=errors[1],
    )  # fmt: skip


def rounding_of(run: Run) -> Rounding:
    """What rounding may do to a run, by the dtype that it was computed in."""
    return ROUNDING.get(str(run.facts.environment.get("dtype", "")), ROUNDING["float32"])


def parting_of(left: Trace, right: Trace, rounding: Rounding) -> Parting | None:
    """The first stage of the first step that differs by more than rounding."""
    steps = min(left.steps, right.steps)
    for step in range(steps):
        for stage in (Stage.FORWARD, Stage.GRADIENT, Stage.UPDATE):
            found = _parted(left, right, step, stage, rounding.epsilon)
            allowed = rounding.loss * (1 if stage is Stage.FORWARD else OF_NORMS)
            if found is not None and not found.difference <= allowed:
                return found
    return None if left.steps == right.steps else Parting(step=steps, stage=Stage.BATCH, difference=np.inf)


def error(trace: Trace, reference: Trace, at: Parting | None) -> float:
    """Relative distance from the reference at a parting; of the losses of all steps where nothing parts."""
    if at is None or at.stage is Stage.BATCH:
        steps = min(trace.steps, reference.steps)
        apart = _relative(trace.loss[:steps], reference.loss[:steps])
        return float(apart.max(initial=0.0))
    if at.stage is Stage.FORWARD:
        return float(_relative(trace.loss, reference.loss)[at.step])
    column = trace.tensors.index(at.tensor)
    ours, theirs = (_norms(each, at.stage)[at.step, column] for each in (trace, reference))
    return float(_relative(np.array([ours]), np.array([theirs]))[0])


def _parted(left: Trace, right: Trace, step: int, stage: Stage, epsilon: float) -> Parting | None:
    if stage is Stage.FORWARD:
        loss = left.loss[step : step + 1], right.loss[step : step + 1]
        apart = float(_relative(*loss)[0])
        return Parting(
            step=step, stage=stage, left=float(loss[0][0]), right=float(loss[1][0]), difference=apart
        )
    if left.tensors != right.tensors or not left.tensors:
        return None
    ours, theirs = _norms(left, stage)[step], _norms(right, stage)[step]
    floor = 2 * epsilon * left.weight_norm[step] if stage is Stage.UPDATE else np.zeros_like(ours)
    differences = np.where(_counts(left, right, step), _relative(ours, theirs, floor), 0.0)
    worst = int(np.argmax(np.where(np.isnan(differences), np.inf, differences)))
    return Parting(
        step=step, stage=stage, tensor=left.tensors[worst], left=float(ours[worst]),
        right=float(theirs[worst]), difference=float(differences[worst]),
    )  # fmt: skip


def _norms(trace: Trace, stage: Stage) -> Float64:
    return trace.gradient_norm if stage is Stage.GRADIENT else trace.update_norm


def _counts(left: Trace, right: Trace, step: int) -> Float64:
    """Which tensors have a gradient that is more than rounding, in either."""
    norms = np.stack([trace.gradient_norm[step] for trace in (left, right)])
    known = np.where(np.isfinite(norms), norms, np.inf)
    return np.asarray((known > NEGLIGIBLE * known.max(axis=1, keepdims=True)).any(axis=0))


def _relative(ours: Float64, theirs: Float64, floor: Float64 | float = 0.0) -> Float64:
    """(|a - b| - floor) / max(|a|, |b|); 0 where both are equal or NaN, infinite where one is not finite."""
    with np.errstate(all="ignore"):
        apart = np.maximum(np.abs(ours - theirs) - floor, 0.0)
        apart /= np.maximum(np.maximum(np.abs(ours), np.abs(theirs)), TINY)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return np.asarray(np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf)))


def _wrong(left: float, right: float) -> str:
    floor = ROUNDING["float64"].loss
    if left > MULTIPLE * max(right, floor):
        return "left"
    return "right" if right > MULTIPLE * max(left, floor) else ""


def _same_problem(left: Run, right: Run) -> bool:
    """Whether both began alike, as far as is known: of a program nobody knows what it starts from."""
    ours, theirs = left.facts.problem, right.facts.problem
    if ours is None or theirs is None:
        return False
    return ours.digest == theirs.digest or not (ours.shapes and theirs.shapes)


def _trace(run: Run) -> Trace:
    if run.facts.trace is None or not run.facts.trace.steps:
        raise ValueError(f"run {run.id} ({run.case} [{run.backend}]) recorded no step, expected a training")
    return run.facts.trace

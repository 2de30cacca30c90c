"""The learning rate does not follow the schedule; says which mistake fits."""

from collections.abc import Iterator

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import finite, first, middle, tame, trace_of
from harness.diagnoses._factors import one_factor
from harness.model import Array, Diagnosis, Facts, Float64
from harness.units import show

CLEAR = 1e-5
"""Relative to the schedule's peak."""
SPEEDS = (*range(2, 65), 1 / 2, 1 / 4, 1 / 8, 1 / 16)
"""Advances of the schedule in a step."""


class ScheduleWrongRate(Diagnostician):
    """The recorded rate against the planned one, step by step."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Where the record agrees, updates of one large or broken factor still speak of another rate."""
        trace = trace_of(facts)
        if trace is None:
            return None
        planned = tame(facts.problem.learning_rates if facts.problem else ())
        used = trace.learning_rate
        if len(planned) < len(used) or not finite(used).size or not np.isfinite(planned).all():
            return self._by_updates(trace.update_ratio)
        scale = max(float(planned.max()), 1e-300)
        bad = ~(np.abs(used - planned[: len(used)]) <= CLEAR * scale)
        if not bad.any():
            return self._by_updates(trace.update_ratio)
        step = first(bad)
        return Diagnosis(
            name=self.name,
            cause=f"schedule gives the wrong learning rate: {show(used[step], '')} at step {step}, expected"
            f" {show(planned[step], '')}; {_which(used, planned, scale)}",
            remedy="Is scheduler.step() called once after each optimizer step, with the"
            " configured peak and length?",
            weight=0.955,
            step=step,
            evidence=(
                f"{int(bad.sum())} of {len(used)} steps differ",
                (
                    f"used {show(used[0], '')} to {show(used[-1], '')}, planned {show(planned[0], '')}"
                    f" to {show(planned[len(used) - 1], '')}"
                ),
            ),
        )

    def _by_updates(self, ratio: Float64) -> Diagnosis | None:
        factor = one_factor(ratio)
        if factor is None or not (factor > 5 or 0.02 < factor < 0.67):
            return None
        return Diagnosis(
            name=self.name,
            cause=f"learning rate of the optimizer seems {show(factor, '')} times the recorded"
            " one: every update is",
            remedy="Does the optimizer use the rate that the schedule gives?",
            weight=0.85,
            step=0,
            evidence=(f"{finite(ratio).size} updates, median {show(factor, '')} of the rule's",),
        )


def _which(used: Float64, planned: Float64, scale: float) -> str:
    for words, other in _stories(used, planned):
        known = np.isfinite(other)
        enough = known.sum() >= max(3, 0.2 * len(used))
        if enough and (np.abs(used - other)[known] <= 1e-4 * scale).all():
            return words
    return "no simple mistake fits"


def _stories(used: Float64, planned: Float64) -> Iterator[tuple[str, Float64]]:
    """What would have been used under each mistake; NaN where that says nothing."""
    steps = np.arange(len(used))
    above = planned[: len(used)] > 0
    factor = middle(used[above] / planned[: len(used)][above])
    yield f"it is {show(factor, '')} times the planned rate", factor * planned[: len(used)]
    late = first(np.abs(used - planned[: len(used)]) > CLEAR * float(planned.max()))
    factor = middle(used[late:][above[late:]] / planned[: len(used)][late:][above[late:]])
    after = np.where(np.arange(len(used)) < late, planned[: len(used)], factor * planned[: len(used)])
    yield f"from step {late} on it is {show(factor, '')} times the planned rate", after
    yield "it never advances", np.full(len(used), used[0])
    for speed in SPEEDS:
        yield f"it advances {show(speed, '')} times a step", _at(planned, np.floor(steps * speed))
    for period in range(2, len(used)):
        yield f"it starts again every {period} steps", planned[steps % period]
    for late in range(1, min(len(used), 64)):
        yield f"it is {late} steps late", _at(planned, steps - late)
        yield f"it is {late} steps early", _at(planned, steps + late)


def _at(planned: Float64, steps: Array) -> Float64:
    """The plan at these steps; NaN outside of it."""
    inside = (steps >= 0) & (steps < len(planned))
    return np.where(inside, planned[np.where(inside, steps, 0).astype(int)], np.nan)

"""What several checks share: bounds that let NaN fail, and verdicts with their sentence."""

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from harness.checks import Keys, Reading
from harness.model import Facts, Float64, Measurement, ProblemFacts, Status, Trace, Verdict
from harness.units import show

Bound = float | None
SLICE = 1e-3
"""Seconds: a shorter time depends on when the system lets the process run."""


def need_a_bound(**bounds: object) -> None:
    """Refuse a check that could not fail.

    Raises:
        ValueError: all bounds are None.
    """
    if all(value is None for value in bounds.values()):
        raise ValueError(f"give at least one of {', '.join(bounds)}")


def ordered(low: Bound, high: Bound) -> None:
    """Refuse a range that nothing can meet.

    Raises:
        ValueError: low lies above high.
    """
    if low is not None and high is not None and low > high:
        raise ValueError(f"at_least ({low:.4g}) lies above at_most ({high:.4g})")


def within(value: float, low: Bound, high: Bound) -> bool:
    """Whether low <= value <= high; False for whatever is not finite, even where one bound is open."""
    return math.isfinite(value) and (low is None or value >= low) and (high is None or value <= high)


def expected(low: Bound, high: Bound, unit: str) -> str:
    """`>= 3 %`, `<= 60 %` or `3 % to 60 %`."""
    if low is None:
        return f"<= {show(high, unit)}" if high is not None else "any finite value"
    return f">= {show(low, unit)}" if high is None else f"{show(low, unit)} to {show(high, unit)}"


def bounded(  # noqa: PLR0913 - a verdict has that many parts
    check: str,
    value: float,
    low: Bound,
    high: Bound,
    *,
    unit: str = "",
    about: str = "",
    hint: str = "",
    step: int | None = None,
    tensor: str = "",
) -> Verdict:
    """A value held to two bounds. about follows the value in the sentence, hint follows the expectation."""
    good = within(value, low, high)
    wanted = expected(low, high, unit)
    sentence = f"{show(value, unit)}{about and ' ' + about}, expected {wanted}"
    return Verdict(
        check=check,
        status=Status.PASS if good else Status.FAIL,
        observed=float(value),
        expected=wanted,
        unit=unit,
        step=None if good else step,
        tensor="" if good else tensor,
        reason="" if good else ("nonfinite" if not np.isfinite(value) else "out_of_bounds"),
        message=sentence if good or not hint else f"{sentence}; {hint}",
    )


def missing(check: str, what: str) -> Verdict:
    """What a check needs was not recorded: that is never a pass."""
    return Verdict(check=check, status=Status.ERROR, reason="missing", message=f"{what} was not recorded")


def skipped(check: str, why: str) -> Verdict:
    """The check does not apply here."""
    return Verdict(check=check, status=Status.SKIP, reason="not_applicable", message=why)


def unanswered(check: str, facts: Facts, probe: str, what: str) -> Verdict | None:
    """The verdict where a probe was not asked (error) or makes no sense here (skip); None if it answered."""
    answer = facts.answers.get(probe)
    if answer is None:
        return missing(check, what)
    return skipped(check, answer.skipped) if answer.skipped else None


def measured(  # noqa: PLR0913 - as `bounded`
    check: str, facts: Facts, name: str, low: Bound, high: Bound, *, about: str = ""
) -> Verdict:
    """A measurement held to two bounds; a failure says so when its samples scatter widely."""
    found = facts.measurements.get(name)
    if found is None:
        return missing(check, f"measurement '{name}'")
    return bounded(check, found.value, low, high, unit=found.unit, about=about, hint=spread(found))


def spread(measurement: Measurement) -> str:
    """A warning when the middle half of the samples is wider than a quarter of their median."""
    if len(measurement.samples) < 4:
        return ""
    low, middle, high = np.percentile(measurement.samples, [25, 50, 75])
    unstable = high - low > 0.25 * abs(middle)
    unit = measurement.unit
    return f"unstable: the middle half spans {show(low, unit)} to {show(high, unit)}" if unstable else ""


def bounds_read(
    value: float, low: Bound, high: Bound, *, largest: float | None = None, **about: Any
) -> Mapping[Keys, Reading]:
    """The readings of `at_least` and `at_most`, as far as they are given.

    largest: what at_most is compared with, where it is not the value. about: further fields of `Reading`.
    """
    most = value if largest is None else largest
    found: dict[Keys, Reading] = {}
    if low is not None:
        found["at_least",] = Reading(value=value, low=low, **about)
    if high is not None:
        found["at_most",] = Reading(value=most, high=high, **about)
    return found


def range_read(
    keys: Keys, values: Float64, allowed: tuple[float, float] | None, **about: Any
) -> Mapping[Keys, Reading]:
    """The readings of `[low, high]` that all values are held to; none where nothing is allowed or seen."""
    if allowed is None or not values.size:
        return {}
    return {
        (*keys, 0): Reading(value=float(values.min()), low=allowed[0], **about),
        (*keys, 1): Reading(value=float(values.max()), high=allowed[1], **about),
    }


def measurement_read(
    facts: Facts, name: str, low: Bound, high: Bound, **about: Any
) -> Mapping[Keys, Reading]:
    """The readings of `at_least` and `at_most` of a measurement; none where it was not taken."""
    found = facts.measurements.get(name)
    return {} if found is None else bounds_read(found.value, low, high, unit=found.unit, **about)


def window_of(steps: int, window: int | None) -> int:
    """How many steps count as the start or the end: max(1, min(5, steps // 10)) unless told."""
    return min(window, steps) if window else max(1, min(5, steps // 10))


def start_and_end(trace: Trace, window: int | None) -> tuple[float, float]:
    """Medians of the first and of the last `window` losses."""
    size = window_of(trace.steps, window)
    return float(np.median(trace.loss[:size])), float(np.median(trace.loss[-size:]))


def matching(pattern: str, tensors: tuple[str, ...]) -> list[int]:
    """Indices of the tensors that a shell pattern names."""
    return [index for index, name in enumerate(tensors) if fnmatchcase(name, pattern)]


def listed(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 5 more`: the first names, and how many are left."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def first_different_step(facts: Facts) -> int | None:
    """The first step whose recorded loss is not that of the training that nobody observed; NaN equals NaN."""
    if facts.trace is None or "repeat" not in facts.answers:
        return None
    ours = facts.trace.loss
    theirs = np.asarray(facts.answers["repeat"].facts.get("losses", ours), np.float64)
    both = min(len(ours), len(theirs))
    same = (ours[:both] == theirs[:both]) | (np.isnan(ours[:both]) & np.isnan(theirs[:both]))
    if not same.all():
        return int(np.argmin(same))
    return None if len(ours) == len(theirs) else both


def first_outside(values: Float64, low: Bound, high: Bound) -> tuple[int, int] | None:
    """Step and column of the first value outside the bounds, in order of steps; NaN is outside.

    values (T, P).
    """
    good = np.isfinite(values)
    if low is not None:
        good &= values >= low
    if high is not None:
        good &= values <= high
    if good.all():
        return None
    step, column = np.argwhere(~good)[0]
    return int(step), int(column)


def stands_at(facts: Facts, loss: float) -> str:
    """`loss stands at 3.295837 = ln 27` when a loss sits on a known anchor; empty otherwise."""
    if facts.problem is None:
        return ""
    anchors = facts.problem.anchors
    named = (
        (anchors.uniform, uniform_name(facts.problem)),
        (anchors.unigram, "the unigram entropy"),
        (anchors.floor, "the floor"),
    )
    for value, name in named:
        if value is not None and abs(loss - value) <= 1e-4 * max(abs(value), 1e-12):
            return f"loss stands at {loss:.6f} = {name}"
    return ""


def uniform_name(problem: ProblemFacts) -> str:
    """`ln 27`: the uniform anchor in words. A classifier has classes in place of a vocabulary."""
    anchor = problem.anchors.uniform
    return "" if anchor is None else f"ln {problem.vocabulary or round(math.exp(anchor))}"

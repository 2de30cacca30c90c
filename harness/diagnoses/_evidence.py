"""What all diagnoses share: reading facts that may be missing or not finite, and words for what was read.

Everything here is total: what was not recorded reads as NaN, as no names, or as an empty mapping.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal

import numpy as np

from harness.checks._common import uniform_name
from harness.model import Facts, Float64, Trace

CLEAR = 1e-4
"""Relative differences above this are no rounding, in float32 either."""
HUGE = 1e100
"""Magnitudes beyond this, either way, are cut off before anything is calculated with them."""
NEGLIGIBLE = 1e-6
"""Share of the largest gradient; below it, a gradient is zero in theory and rounding in practice."""
_BY_STEP = ("loss", "learning_rate", "memory")
_NO_ARRAYS = ("tensors", "events", "digests", "absent")


def trace_of(facts: Facts) -> Trace | None:
    """The trace, with NaN for every array that does not fit its steps and tensors; None without any step."""
    trace = facts.trace
    if trace is None or trace.steps == 0:
        return None
    steps, wide = (trace.steps,), (trace.steps, len(trace.tensors))
    arrays = {
        each.name: shaped(getattr(trace, each.name), steps if each.name in _BY_STEP else wide)
        for each in fields(trace)
        if each.name not in _NO_ARRAYS
    }
    events = {name: shaped(counts, steps) for name, counts in trace.events.items()}
    return replace(trace, events=events, **arrays)  # type: ignore[arg-type]


def shaped(values: Any, shape: tuple[int, ...]) -> Float64:
    """The values if they have this shape, else NaN of that shape."""
    return tame(values) if np.shape(values) == shape else np.full(shape, np.nan)


def tame(values: Any) -> Float64:
    """Finite values whose squares, products and quotients are finite; what is tinier counts as zero."""
    array = np.asarray(values, np.float64)
    bounded = np.where(np.isfinite(array), np.clip(array, -HUGE, HUGE), array)
    return np.where(np.abs(bounded) < 1 / HUGE, 0.0, bounded)


def event(trace: Trace, name: str) -> Float64:
    """How often an event happened, by step (T,); NaN where it is not counted."""
    return trace.events.get(name, np.full(trace.steps, np.nan))


def norms(table: Float64) -> Float64:
    """L2 norm over all tensors, (T, P) -> (T,)."""
    with np.errstate(all="ignore"):
        return np.asarray(np.sqrt(np.square(table).sum(axis=1)), np.float64)


def finite(values: Any) -> Float64:
    """The finite ones, flat and tame."""
    array = tame(values)
    return array[np.isfinite(array)]


def theil_sen(at: Float64, values: Float64) -> float:
    """Median slope over all pairs (Theil, 1950; Sen, 1968); NaN for less than two. at, values (N,)."""
    early, late = np.triu_indices(len(values), k=1)
    slopes = (values[late] - values[early]) / (at[late] - at[early])
    return float(np.median(slopes)) if len(slopes) else math.nan


def middle(values: Any) -> float:
    """Median of the finite values; NaN if there is none."""
    known = finite(values)
    return float(np.median(known)) if known.size else math.nan


def largest(values: Any) -> float:
    """Largest finite value; NaN if there is none."""
    known = finite(values)
    return float(known.max()) if known.size else math.nan


def share(hits: Any, among: Any) -> float:
    """Share of `hits` among those that count; 0 if none counts."""
    counted = int(np.count_nonzero(among))
    return int(np.count_nonzero(np.logical_and(hits, among))) / counted if counted else 0.0


def first(hits: Any) -> int:
    """Index of the first that is true; 0 if none is."""
    return int(np.argmax(hits)) if np.size(hits) else 0


def columns(trace: Trace, hits: Any) -> tuple[str, ...]:
    """Names of the tensors that are marked. hits (P,)."""
    return tuple(name for name, hit in zip(trace.tensors, hits, strict=True) if hit)


def flowing(trace: Trace) -> Any:
    """Which tensors receive a gradient that is more than rounding beside the largest, at some step, (P,)."""
    peak = largest(trace.gradient_norm)
    return (trace.gradient_norm > (NEGLIGIBLE * peak if peak > 0 else 0)).any(axis=0)


def still(trace: Trace) -> Any:
    """Which tensors are known not to have moved at any step, (P,)."""
    return (trace.update_norm == 0).all(axis=0)


def uniform_of(facts: Facts) -> float:
    """Loss of a model that prefers nothing, ln V; NaN if there is none."""
    return anchor_of(facts, "uniform")


def anchor_of(facts: Facts, name: Literal["uniform", "unigram", "floor"]) -> float:
    """A loss that is known before anything trains; NaN if it is not."""
    value = as_number(getattr(facts.problem.anchors, name)) if facts.problem else math.nan
    return value if math.isfinite(value) else math.nan


def name_of_uniform(facts: Facts) -> str:
    """`ln 27`; in general words where no number of classes can be read from it."""
    readable = facts.problem is not None and uniform_of(facts) < 100
    return uniform_name(facts.problem) if facts.problem and readable else "the uniform loss"


def found(facts: Facts, probe: str) -> Mapping[str, Any]:
    """What a probe found; empty if it was not asked or could not be."""
    answer = facts.answers.get(probe)
    return {} if answer is None or answer.skipped else answer.facts


def number(source: Any, key: str) -> float:
    """One number of an answer; NaN if it is missing or none."""
    return as_number(source.get(key)) if isinstance(source, Mapping) else math.nan


def as_number(value: Any) -> float:
    """A real number or truth value as a tame float; NaN for all else."""
    if not isinstance(value, int | float | np.integer | np.floating | np.bool_):
        return math.nan
    try:
        return float(tame(float(value)))
    except OverflowError:  # a whole number beyond all floats
        return HUGE


def numbers(source: Any, key: str) -> Float64:
    """A list of numbers of an answer; NaN in place of what is none."""
    values = source.get(key) if isinstance(source, Mapping) else None
    if not isinstance(values, Sequence) or isinstance(values, str):
        return np.zeros(0)
    return np.array([as_number(value) for value in values], np.float64)


def by_name(source: Any, key: str) -> dict[str, float]:
    """A mapping of numbers of an answer."""
    values = source.get(key) if isinstance(source, Mapping) else None
    return (
        {str(name): as_number(each) for name, each in values.items()} if isinstance(values, Mapping) else {}
    )


def names(source: Any, key: str) -> tuple[str, ...]:
    """A list of names of an answer."""
    values = source.get(key) if isinstance(source, Mapping) else None
    if not isinstance(values, Sequence) or isinstance(values, str):
        return ()
    return tuple(str(value) for value in values)


def truth(source: Any, key: str) -> bool | None:
    """A truth value of an answer, or None."""
    value = source.get(key) if isinstance(source, Mapping) else None
    return bool(value) if isinstance(value, bool | np.bool_) else None


def count(source: Any, key: str) -> float:
    """How many: a number as it is, a list by its length; NaN if missing."""
    value = source.get(key) if isinstance(source, Mapping) else None
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return float(len(value))
    return as_number(value)


def listed(tensors: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 9 more`."""
    rest = len(tensors) - most
    return ", ".join(tensors[:most]) + (f" and {rest} more" if rest > 0 else "")


def times(factor: float) -> str:
    """`twice`, `3 times`, `2.5 times`."""
    whole = round(factor)
    if abs(factor - whole) <= 0.15 and whole >= 1:
        return {1: "once", 2: "twice"}.get(whole, f"{whole} times")
    return f"{factor:.3g} times"

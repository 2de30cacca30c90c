"""What trace faults share: reading the trace, and changing its losses with all that follows from them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.model import Answer, Array, Facts, Float64, Trace


def trace_of(facts: Facts) -> Trace:
    """The recorded trace.

    Raises:
        NotImplementedError: there is none, or it is empty.
    """
    if facts.trace is None or not facts.trace.steps:
        raise NotImplementedError("no step was recorded")
    return facts.trace


def with_trace(facts: Facts, **changes: Any) -> Facts:
    """The facts with some fields of their trace replaced.

    Raises:
        NotImplementedError: not one of them was recorded.
    """
    trace = trace_of(facts)
    if all(name in trace.absent or not len(values) for name, values in changes.items()):
        raise NotImplementedError(f"{', '.join(changes)}: not among what was recorded")
    return replace(facts, trace=replace(trace, **changes))


def put(array: Array, index: Any, value: Any) -> Float64:
    """A copy with one part replaced."""
    changed: Float64 = np.array(array, np.float64)
    changed[index] = value
    return changed


def with_losses(facts: Facts, losses: Float64) -> Facts:
    """The facts of a training with other losses, the distance from the reference included.

    The reference's own losses are not recorded. They lie within the recorded distance of the healthy ones, so
    the new distance is right up to that.
    """
    healthy = trace_of(facts).loss
    moved = np.abs(losses - healthy) / np.maximum(np.abs(healthy), 1e-300)
    answers = dict(facts.answers)
    answer = facts.answers.get("reference")
    if answer is not None and "loss_difference" in answer.facts:
        found: Mapping[str, Any] = answer.facts
        difference = np.asarray(found["loss_difference"], np.float64)
        longer = [float(value) for value in difference + moved[: len(difference)]]
        answers["reference"] = replace_facts(answer, loss_difference=longer)
    return replace(with_trace(facts, loss=losses), answers=answers)


def replace_facts(answer: Answer, **changes: Any) -> Answer:
    """An answer with some of its facts replaced."""
    return replace(answer, facts={**answer.facts, **changes})

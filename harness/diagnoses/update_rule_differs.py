"""The optimizer follows another rule than the configured one; says which difference fits."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import (
    columns,
    finite,
    first,
    flowing,
    largest,
    listed,
    middle,
    still,
    trace_of,
)
from harness.diagnoses._factors import lacks_bias_correction, one_factor
from harness.model import Diagnosis, Facts, Float64, Trace
from harness.units import show

CLEAR = 5e-4
"""Relative distance from the rule, beyond rounding; float32 trainings stay below 1e-4."""


class UpdateRuleDiffers(Diagnostician):
    """Updates keep a distance from the rule that no single factor explains."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Tensors whose error is clear at a tenth of the steps; one that never moves is another story."""
        trace = trace_of(facts)
        if trace is None or one_factor(trace.update_ratio) is not None:
            return None
        error = np.where(still(trace) | ~flowing(trace), np.nan, trace.update_error)
        wrong = (error > CLEAR).mean(axis=0) >= 0.1 if trace.tensors else np.zeros(0, bool)
        if not wrong.any():
            return None
        tensor = trace.tensors[int(np.argmax(np.where(wrong, _medians(error), -1)))]
        which, remedy = _which(facts, trace, wrong, error)
        bad = columns(trace, wrong)
        return Diagnosis(
            name=self.name,
            cause=f"update rule differs from the configured optimizer's for {len(bad)} of"
            f" {len(trace.tensors)}"
            f" tensors (relative distance {show(middle(error[:, wrong]), '')}): {which}",
            remedy=remedy,
            weight=0.92,
            step=first((error > CLEAR).any(axis=1)),
            tensor=tensor,
            evidence=(
                f"tensors: {listed(bad)}",
                (
                    f"updates are {show(middle(trace.update_ratio), '')} of the rule's,"
                    f" {_span(trace.update_ratio)}"
                ),
                (
                    f"error at the first step {show(largest(error[0]), '')}, at the last"
                    f" {show(largest(error[-1]), '')}"
                ),
            ),
        )


def _medians(error: Float64) -> Float64:
    return np.array([middle(column) for column in error.T])


def _which(facts: Facts, trace: Trace, wrong: Float64, error: Float64) -> tuple[str, str]:
    shapes = facts.problem.shapes if facts.problem else {}
    vector = np.array([len(shapes.get(name, (0, 0))) < 2 for name in trace.tensors])
    if lacks_bias_correction(trace.update_ratio):
        return "Adam's bias correction is missing", "Are the moments divided by 1 - beta^t?"
    if vector.any() and not vector.all() and not wrong[~vector].any():
        return (
            "only gains and biases differ: weight decay acts on them",
            "Are tensors with one axis in a group without weight decay?",
        )
    if vector.any() and not wrong[vector].any():
        return (
            (
                "only matrices differ: weight decay is coupled with the gradient (L2), left out, or"
                " of another size"
            ),
            "Is weight decay decoupled from the gradient (AdamW), with the configured strength?",
        )
    if trace.steps > 1 and not largest(error[0]) > 10 * CLEAR:
        return (
            (
                "the first update is right, later ones are not: momentum is lost or has other decay"
                " rates (betas)"
            ),
            "Is the optimizer's state kept from step to step, with the configured momentum or betas?",
        )
    return (
        "from the first step on",
        "Are optimizer, momentum, betas, eps and weight decay the configured ones?",
    )


def _span(ratio: Float64) -> str:
    known = finite(ratio)
    low, high = (show(float(np.quantile(known, part)), "") if known.size else "nan" for part in (0.1, 0.9))
    return f"most from {low} to {high}"

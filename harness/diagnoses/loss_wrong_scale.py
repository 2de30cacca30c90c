"""The loss is off by a factor, or computed from the logits in another way."""

import math
from collections.abc import Iterator

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import (
    CLEAR,
    finite,
    found,
    middle,
    name_of_uniform,
    number,
    numbers,
    trace_of,
    truth,
    uniform_of,
)
from harness.model import Diagnosis, Facts, Float64
from harness.units import show

LOW = 0.8
"""First loss over ln V that no untrained model reaches."""


class LossWrongScale(Diagnostician):
    """The logits are right, the loss is not; or the first loss is better than an untrained model's can be."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The first of: zero, other than the reference's at equal logits, below ln V, a constant factor."""
        return next(self._findings(facts), None)

    def _findings(self, facts: Facts) -> Iterator[Diagnosis]:
        reference, trace = found(facts, "reference"), trace_of(facts)
        if trace is not None and (trace.loss == 0).all():
            yield self._named(
                "loss is exactly 0 at every step", 0.9, "no target may count, or nothing is trained"
            )
        for at in ("default", "scaled"):
            forward = reference.get(f"forward_{at}")
            ratio, logits = number(forward, "loss_ratio"), number(forward, "logits")
            if logits < CLEAR and abs(ratio - 1) > CLEAR:
                cause = (
                    f"loss is {show(ratio, '')} times the reference's, from the same logits ({at} weights)"
                )
                yield self._named(
                    cause, 0.955, f"gradients are {show(number(forward, 'gradient_ratio'), '')} times as long"
                )
        if trace is None:
            return
        uniform, start = uniform_of(facts), float(trace.loss[0])
        if 0 <= start < LOW * uniform:
            cause = (
                f"first loss {show(start, '')} is {show(start / uniform, '')} x {name_of_uniform(facts)}: too"
                " good for an untrained model"
            )
            yield self._named(cause, 0.86, "no weight has moved before the first loss")
        again = start / number(found(facts, "overfit"), "start") if start > 0 else math.nan
        if abs(again - 1) > CLEAR:
            cause = (
                f"recorded first loss is {show(again, '')} times what the same step gives"
                " when it is taken again"
            )
            yield self._named(cause, 0.83, f"recorded {show(start, '')}")
        yield from self._constant(numbers(reference, "loss_difference"), "the reference's")
        yield from self._constant(_unlike_unobserved(facts), "what the same training gave unobserved")

    def _constant(self, difference: object, whose: str) -> Iterator[Diagnosis]:
        """All losses off by one share, however small: a factor, not a drift."""
        known, typical = finite(difference), middle(difference)
        if len(known) < 3 or not math.isfinite(typical) or typical <= 10 * CLEAR:
            return
        if (abs(known - typical) <= 0.05 * typical).all():
            cause = f"loss differs from {whose} by the same {show(typical, '%')} at all {len(known)} steps"
            yield self._named(cause, 0.84, f"difference {show(known.min(), '%')} to {show(known.max(), '%')}")

    def _named(self, cause: str, weight: float, evidence: str) -> Diagnosis:
        return Diagnosis(
            name=self.name,
            cause=cause,
            remedy="Is the loss the mean cross entropy of the raw logits (no softmax before it,"
            " divided once)?",
            weight=weight,
            step=0,
            evidence=(evidence,),
        )


def _unlike_unobserved(facts: Facts) -> Float64:
    """Relative distance of each recorded loss from that of the training that nobody observed."""
    trace, losses = trace_of(facts), numbers(found(facts, "repeat"), "losses")
    if trace is None or len(losses) != trace.steps or truth(found(facts, "repeat"), "weights_equal") is False:
        return np.zeros(0)
    with np.errstate(invalid="ignore"):  # a loss may be infinite on both sides
        return np.asarray(np.abs(trace.loss - losses) / np.maximum(np.abs(losses), 1e-300))

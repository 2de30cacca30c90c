"""Numbers stop being finite: at which step, in which quantity, in which tensor first."""

import math

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import middle, norms, trace_of
from harness.model import Diagnosis, Facts, Float64, Trace
from harness.units import show

# In order of computation. A backward pass begins at the output: the last tensor is the first one hit.
QUANTITIES = (
    ("weight_norm", "weights", False),
    ("loss", "loss", False),
    ("gradient_norm", "gradient", True),
    ("gradient_largest", "gradient", True),
    ("clipped_norm", "clipped gradient", True),
    ("learning_rate", "learning rate", False),
    ("update_norm", "update", True),
)


class NonfiniteOrigin(Diagnostician):
    """The first NaN or infinity of the record."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """First in order of steps, then of computation within a step."""
        trace = trace_of(facts)
        origin = None if trace is None or facts.trace is None else _origin(facts.trace, trace)
        if origin is None or trace is None:
            return None
        step, what, value, bad = origin
        tensor = bad[0] if bad else ""
        place = f"the {what} of {tensor}" if tensor else f"the {what}"
        return Diagnosis(
            name=self.name,
            cause=f"{show(value, '')} first appears at step {step} in {place}",
            remedy=_remedy(trace, step, what),
            weight=0.99,
            step=step,
            tensor=tensor,
            evidence=_evidence(trace, step, bad),
        )


def _origin(raw: Trace, trace: Trace) -> tuple[int, str, float, list[str]] | None:
    known = [
        each
        for each in QUANTITIES
        if each[0] not in raw.absent and np.shape(getattr(raw, each[0])) == getattr(trace, each[0]).shape
    ]
    for step in range(trace.steps):
        for field, what, backwards in known:
            values: Float64 = np.atleast_1d(getattr(trace, field)[step])
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                bad = bad[::-1] if backwards else bad
                wide = getattr(trace, field).ndim == 2
                return step, what, float(values[bad[0]]), [trace.tensors[i] for i in bad] if wide else []
    return None


def _remedy(trace: Trace, step: int, what: str) -> str:
    before = norms(trace.gradient_norm)[:step]
    if len(before) >= 2 and before[-1] > 10 * middle(before[:-1]):
        return "Is the learning rate too large? Clip the gradients or lower it: they grew before"
    if what == "weights":
        return "Are the starting weights, or what was loaded, finite?"
    return (
        "Does the forward or backward pass take the logarithm, quotient or root of 0, or overflow its dtype?"
    )


def _evidence(trace: Trace, step: int, bad: list[str]) -> tuple[str, ...]:
    told = [f"{len(bad)} of {len(trace.tensors)} tensors are affected at step {step}"] if bad else []
    if step:
        told.append(f"loss one step before: {show(float(trace.loss[step - 1]), '')}")
        told.append(f"gradient norm one step before: {show(float(norms(trace.gradient_norm)[step - 1]), '')}")
    if math.isfinite(trace.loss[step]):
        told.append(f"the loss of that step is finite: {show(float(trace.loss[step]), '')}")
    return tuple(told)

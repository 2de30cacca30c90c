"""Gradients vanish: too small to move anything, or flushed to zero by the number format."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import columns, found, largest, listed, middle, number, trace_of
from harness.model import Diagnosis, Facts, Trace
from harness.units import show

TINY = 1e-6
"""Largest element below which the learning rate is too small for anything to move."""


class VanishingGradients(Diagnostician):
    """All elements tiny at every step, or many exact zeros within tensors that do receive gradients."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The first of: tiny everywhere, underflow, some tensors tiny (a hint)."""
        trace = trace_of(facts)
        if trace is None or not (trace.gradient_norm > 0).any():
            return None
        peak = largest(trace.gradient_largest)
        if peak < TINY:
            cause = f"gradients vanish: largest element {show(peak, '')} at any step, below {show(TINY, '')}"
            remedy = "Raise the learning rate; is the loss divided twice, or a gradient scaled down?"
            return self._named(trace, cause, remedy, 0.7, trace.tensors)
        return self._underflow(facts, trace) or self._tiny(trace)

    def _underflow(self, facts: Facts, trace: Trace) -> Diagnosis | None:
        best = np.array([largest(column) for column in trace.gradient_nonzero.T])
        holes = (best < 0.9) & (trace.gradient_norm > 0).any(axis=0)
        if holes.sum() < max(2, len(best) / 4) or number(found(facts, "influence"), "own") == 0:
            return None
        bad = columns(trace, holes)
        lost = show(1 - middle(best[holes]), "%")
        cause = f"gradients underflow to zero: {lost} of the elements of {len(bad)} tensors never receive any"
        remedy = "Are gradients kept in float16 without loss scaling, or masked?"
        return self._named(trace, cause, remedy, 0.8, bad)

    def _tiny(self, trace: Trace) -> Diagnosis | None:
        peaks = np.array([largest(column) for column in trace.gradient_largest.T])
        bad = columns(trace, (peaks > 0) & (peaks < TINY))
        if not bad:
            return None
        cause = (
            f"gradients are tiny: below {show(TINY, '')} at every step in {len(bad)} of {len(peaks)} tensors"
        )
        return self._named(
            trace, cause, "Raise the learning rate, or look where the signal is lost", 0.3, bad
        )

    def _named(self, trace: Trace, cause: str, remedy: str, weight: float, bad: tuple[str, ...]) -> Diagnosis:
        return Diagnosis(
            name=self.name,
            cause=cause,
            remedy=remedy,
            weight=weight,
            step=0,
            tensor=bad[0],
            evidence=(
                f"tensors: {listed(bad)}",
                f"median gradient norm of a tensor {show(middle(trace.gradient_norm), '')}",
            ),
        )

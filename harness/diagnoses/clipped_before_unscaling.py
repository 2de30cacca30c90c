"""Gradients are clipped while the loss scale is still in them: what is left is far too small."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import finite, found, middle, norms, numbers, trace_of
from harness.model import Diagnosis, Facts, Float64
from harness.units import show


class ClippedBeforeUnscaling(Diagnostician):
    """After clipping, the norm is a fixed small fraction of the limit, whatever it was before."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Held to the factor that the limit implies; without the probe, by a tiny and constant norm."""
        fresh = found(facts, "fresh_gradients")
        ratio, wanted = numbers(fresh, "clipped_ratio"), numbers(fresh, "clipped_expected")
        if len(ratio) and len(ratio) == len(wanted):
            bad = (ratio < 0.9 * wanted) & (ratio > 0)
            step, told = int(np.argmax(bad)), f"{int(bad.sum())} of {len(ratio)} steps are clipped too hard"
            return self._named(ratio[step], wanted[step], step, 0.96, told) if bad.any() else None
        return self._by_norms(facts)

    def _by_norms(self, facts: Facts) -> Diagnosis | None:
        trace = trace_of(facts)
        if trace is None or trace.steps < 3:
            return None
        after, left = (
            norms(trace.clipped_norm),
            _quotient(norms(trace.clipped_norm), norms(trace.gradient_norm)),
        )
        constant = finite(after).size > 2 and np.ptp(finite(after)) < 1e-3 * middle(after)
        if not constant or not middle(left) < 1e-2 or not middle(left) > 0:
            return None
        told = f"the norm after clipping is {show(middle(after), '')} at every step"
        return self._named(middle(left), float("nan"), 0, 0.75, told)

    def _named(self, ratio: float, wanted: float, step: int, weight: float, told: str) -> Diagnosis:
        allowed = f", the limit asks for {show(wanted, '%')}" if wanted > 0 else ""
        factor = (f"the loss scale may be {show(wanted / ratio, '')}",) if wanted > 0 else ()
        return Diagnosis(
            name=self.name,
            cause=f"gradients are clipped before unscaling: at step {step} clipping leaves {show(ratio, '%')}"
            f" of the norm{allowed}",
            remedy="Does scaler.unscale_(optimizer) run before clip_grad_norm_?",
            weight=weight,
            step=step,
            evidence=(told, *factor),
        )


def _quotient(upper: Float64, lower: Float64) -> Float64:
    with np.errstate(all="ignore"):
        return upper / lower

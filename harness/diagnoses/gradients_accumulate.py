"""Gradients accumulate from step to step: zero_grad is missing."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import event, found, middle, norms, numbers, trace_of
from harness.model import Diagnosis, Facts, Trace
from harness.units import show

REMEDY = "Does optimizer.zero_grad() run once in every step, before backward()?"
CLEAR = 0.01


class GradientsAccumulate(Diagnostician):
    """The gradient is right at first, and later holds those of earlier steps too."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Held to its own recomputation on the same weights; without that probe, by calls of zero_grad."""
        fresh = found(facts, "fresh_gradients")
        error, ratio = numbers(fresh, "error"), numbers(fresh, "ratio")
        if len(error) > 1 and len(error) == len(ratio):
            return self._by_recomputation(error, ratio)
        trace = trace_of(facts)
        return None if trace is None else self._by_calls(trace)

    def _by_recomputation(
        self, error: np.typing.NDArray[np.float64], ratio: np.typing.NDArray[np.float64]
    ) -> Diagnosis | None:
        stale = (error > CLEAR) & (ratio > 0.3)
        if not error[0] <= CLEAR or not stale.any():
            return None
        worst = int(np.argmax(np.where(stale, error, -np.inf)))
        return Diagnosis(
            name=self.name,
            cause=f"gradients accumulate: the gradient at step {worst} is"
            f" {show(ratio[worst], '')} times its own"
            f" recomputation (relative distance {show(error[worst], '')}), at step 0 it is right",
            remedy=REMEDY,
            weight=0.97,
            step=int(np.argmax(stale)),
            evidence=(f"ratio by step: {', '.join(show(each, '') for each in ratio[:6])}",),
        )

    def _by_calls(self, trace: Trace) -> Diagnosis | None:
        cleared, backward = event(trace, "zero_grad"), event(trace, "backward")
        if trace.steps < 2 or not (cleared[1:] == 0).all() or not (backward > 0).all():
            return None
        norm = norms(trace.gradient_norm)
        return Diagnosis(
            name=self.name,
            cause=f"gradients accumulate: zero_grad ran {int(cleared.sum())} times in"
            f" {trace.steps} steps with"
            f" {int(backward.sum())} backward passes",
            remedy=REMEDY,
            weight=0.85,
            step=1,
            evidence=(f"gradient norm {show(norm[0], '')} at step 0, median {show(middle(norm), '')}",),
        )

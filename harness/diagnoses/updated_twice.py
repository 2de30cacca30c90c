"""Every update is k times the one that the optimizer's rule gives: the update is applied twice, or scaled."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import event, finite, first, middle, share, times, trace_of
from harness.diagnoses._factors import lacks_bias_correction, one_factor, steadiness
from harness.model import Diagnosis, Facts
from harness.units import show

MORE = 1.25
"""Times the rule's: nearly all updates are this much too long where momentum blurs the factor."""


class UpdatedTwice(Diagnostician):
    """One factor k > 0, other than 1, holds for nearly all tensors and steps."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Without one factor, the optimizer's calls in a step tell; weaker, updates that are all too long."""
        trace = trace_of(facts)
        if trace is None or lacks_bias_correction(trace.update_ratio):
            return None
        ratio, calls = trace.update_ratio, middle(event(trace, "update"))
        factor, steady = middle(ratio), one_factor(ratio) is not None
        called = calls >= 2 and factor > MORE
        if not factor > 0.02 or not (steady or called or share(ratio > MORE, np.isfinite(ratio)) >= 0.9):
            return None
        return Diagnosis(
            name=self.name,
            cause=f"update applied {times(calls if called else factor)}: each step moves the weights"
            f" {show(round(factor, 3), '')} times as far as the optimizer's rule",
            remedy="Is optimizer.step() called once in a step, and nowhere else?"
            if factor > 1
            else "Is the update scaled down, or the optimizer's learning rate another than the recorded one?",
            weight=0.95 if called or (steady and factor > 1) else 0.9 if steady else 0.85,
            step=first((np.abs(ratio - 1) > 0.1).any(axis=1)),
            evidence=(
                f"{show(steadiness(ratio), '%')} of {finite(ratio).size} updates are near {show(factor, '')}",
                f"the optimizer runs {show(calls, '')} times in a step",
            ),
        )

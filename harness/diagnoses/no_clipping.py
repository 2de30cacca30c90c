"""Gradients are not clipped although a limit is configured."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, numbers
from harness.model import Diagnosis, Facts
from harness.units import show


class NoClipping(Diagnostician):
    """The norm after clipping lies above what the limit allows."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Held to the factor that the limit implies, at every step that the probe looked at."""
        fresh = found(facts, "fresh_gradients")
        ratio, wanted = numbers(fresh, "clipped_ratio"), numbers(fresh, "clipped_expected")
        if not len(ratio) or len(ratio) != len(wanted):
            return None
        bad = ratio > 1.01 * wanted
        if not bad.any():
            return None
        step = int(np.argmax(bad))
        none = bool((np.abs(ratio[bad] - 1) < 1e-3).all())
        return Diagnosis(
            name=self.name,
            cause=f"gradients are {'not clipped' if none else 'clipped too little'}: at step"
            f" {step} clipping leaves"
            f" {show(ratio[step], '%')} of the norm, the limit allows {show(wanted[step], '%')}",
            remedy="Is clipping called after backward and before the step, on the norm of all"
            " gradients together?",
            weight=0.95,
            step=step,
            evidence=(f"{int(bad.sum())} of {len(ratio)} steps that were looked at exceed the limit",),
        )

"""The forward pass computes something else than the reference, from the same weights."""

import math

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import CLEAR, by_name, found, largest, number
from harness.model import Diagnosis, Facts
from harness.units import show

COARSE = 0.02
"""Standard deviations of the logits: half-precision weights stay below."""


class ForwardDiffersFromReference(Diagnostician):
    """Logits at weights that make them O(1); a missing scale hides at small weights."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Without logits, by gradients that agree at small weights only."""
        reference = found(facts, "reference")
        small, large = (number(reference.get(f"forward_{at}"), "logits") for at in ("default", "scaled"))
        if math.isnan(large):
            return self._by_gradients(facts)
        if not large > 10 * CLEAR:
            return None
        return self._named(
            f"logits are {show(large, '')} standard deviations from the reference's at O(1) weights,"
            f" {show(small, '')} at the starting ones",
            0.9 if large > COARSE else 0.7,
            f"gain of the O(1) weights {show(number(reference, 'scale'), '')}",
        )

    def _by_gradients(self, facts: Facts) -> Diagnosis | None:
        reference = found(facts, "reference")
        small, large = (
            largest(list(by_name(reference, f"gradients_{at}").values())) for at in ("default", "scaled")
        )
        if not large > COARSE or not large > 5 * small:
            return None
        cause = (
            f"gradients agree at small weights ({show(small, '')}) and not at O(1) weights"
            f" ({show(large, '')})"
        )
        return self._named(cause, 0.8, "a difference that grows with the weights lies in the forward pass")

    def _named(self, cause: str, weight: float, evidence: str) -> Diagnosis:
        return Diagnosis(
            name=self.name,
            cause=f"forward pass differs from the reference: {cause}",
            remedy="Compare layer by layer: attention scale 1/sqrt(d), positions, mask,"
            " residual, norm, activation",
            weight=weight,
            step=0,
            evidence=(evidence,),
        )

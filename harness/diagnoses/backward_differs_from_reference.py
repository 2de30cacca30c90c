"""The backward pass differs: loss and logits agree with the reference, gradients do not."""

import math

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import CLEAR, by_name, found, listed, number
from harness.model import Diagnosis, Facts
from harness.units import show


class BackwardDiffersFromReference(Diagnostician):
    """Names the tensor nearest the output whose gradient is wrong: a backward pass begins there."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """At the starting weights or at O(1) weights, wherever the forward pass agrees."""
        reference = found(facts, "reference")
        for at in ("scaled", "default"):
            forward = reference.get(f"forward_{at}")
            logits, ratio = number(forward, "logits"), number(forward, "loss_ratio")
            if logits > 10 * CLEAR or abs(ratio - 1) > 10 * CLEAR:
                continue
            differences = by_name(reference, f"gradients_{at}")
            wrong = [name for name, apart in differences.items() if not apart <= 10 * CLEAR]
            if wrong and not math.isnan(logits):
                return self._named(at, wrong, differences, number(forward, "gradient_ratio"))
        return None

    def _named(self, at: str, wrong: list[str], differences: dict[str, float], ratio: float) -> Diagnosis:
        origin = wrong[-1]
        worst = max(wrong, key=lambda name: math.inf if math.isnan(differences[name]) else differences[name])
        return Diagnosis(
            name=self.name,
            cause=f"backward pass differs from the reference in {len(wrong)} of"
            f" {len(differences)} tensors while the"
            f" loss agrees; nearest the output {origin} (relative distance {show(differences[origin], '')})",
            remedy="Is a value detached, an in-place change or a hand-written gradient wrong"
            " behind that tensor?",
            weight=0.8,
            step=0,
            tensor=origin,
            evidence=(
                f"at {at} weights; worst {worst}: {show(differences[worst], '')}",
                f"tensors: {listed(wrong)}",
                f"all gradients together are {show(ratio, '')} times the reference's",
            ),
        )

"""Gradients of micro-batches add up without being divided by their number."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._accumulation import split
from harness.diagnoses._evidence import CLEAR, found
from harness.model import Diagnosis, Facts
from harness.units import show


class AccumulationNotDivided(Diagnostician):
    """The gradient of a batch is k times the count-weighted sum over its samples."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Any k other than 1; surest when only the length differs."""
        seen = split(found(facts, "accumulation"))
        if seen is None or abs(seen.ratio - 1) <= max(10 * CLEAR, 1.5 * seen.aside):
            return None
        many = seen.ratio > 1
        return Diagnosis(
            name=self.name,
            cause=f"accumulation is {'not divided' if many else 'divided too often'}: the"
            " gradient of a batch is"
            f" {show(seen.ratio, '')} times the count-weighted sum over its samples",
            remedy="Is the loss of a micro-batch divided by the targets of the whole batch, exactly once?",
            weight=0.95 if seen.aside < 0.05 * seen.ratio else 0.91,
            step=0,
            tensor=seen.tensor,
            evidence=(f"relative distance {show(seen.error, '')}, aside of it {show(seen.aside, '')}",),
        )

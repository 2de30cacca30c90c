"""Samples leak into each other: one sample's logits depend on the others of its batch."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import CLEAR, found, number
from harness.model import Diagnosis, Facts
from harness.units import show


class SamplesLeak(Diagnostician):
    """Replacing a sample, or changing their order, moves what must stand still."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Order alone may be the loss's doing; another sample's content may not."""
        isolation = found(facts, "isolation")
        other, logits, loss = (
            number(isolation, key) for key in ("other_sample", "permuted_logits", "permuted_loss")
        )
        if other > CLEAR:
            cause = (
                "samples leak: replacing other samples of the batch moves logits by"
                f" {show(other, '')} standard deviations"
            )
            weight = 0.975
        elif logits > CLEAR or loss > CLEAR:
            cause = (
                "the order of samples matters: permuting the batch moves logits by"
                f" {show(logits, '')} and the loss by {show(loss, '%')}"
            )
            weight = 0.85
        else:
            return None
        return Diagnosis(
            name=self.name,
            cause=cause,
            remedy="Are batch and sequence axes mixed up (batch_first), or statistics taken over the batch?",
            weight=weight,
            evidence=(
                (
                    f"other samples {show(other, '')}, permuted logits {show(logits, '')}, permuted"
                    f" loss {show(loss, '')}"
                ),
            ),
        )

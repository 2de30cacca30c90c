"""Padding counts in the loss."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import CLEAR, found, number
from harness.model import Diagnosis, Facts
from harness.units import show


class PaddingCounted(Diagnostician):
    """What stands behind a sample's end has an effect, or targets there count."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """By counts of targets, and by changing the padding."""
        padding = found(facts, "padding")
        counted, expected = number(padding, "counted"), number(padding, "expected")
        loss, gradient = number(padding, "loss_change"), number(padding, "gradient_change")
        moved = loss > CLEAR or gradient > CLEAR
        if not counted > expected and not moved:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"padding counts in the loss: {show(counted, '')} targets count,"
            f" {show(expected, '')} are real"
            if counted > expected
            else f"padding has an effect: other padding changes the loss by {show(loss, '%')}",
            remedy="Are targets behind a sample's end set to the ignored id (-100), and masked in the loss?",
            weight=0.96 if counted > expected else 0.9,
            evidence=(
                (
                    f"other padding changes the loss by {show(loss, '%')} and the gradient by"
                    f" {show(gradient, '%')}"
                ),
                f"targets that count {show(counted, '')}, real ones {show(expected, '')}",
            ),
        )

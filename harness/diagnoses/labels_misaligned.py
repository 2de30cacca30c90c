"""Labels are misaligned: targets are not the next token but another one."""

import math

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import by_name, found, number
from harness.model import Diagnosis, Facts
from harness.units import show

RIGHT = 1
"""Next-token prediction."""
CLEAR = 0.2
"""By how much another shift must agree better."""


class LabelsMisaligned(Diagnostician):
    """In the data, in the loss, or in both together: the shift that is trained on is not 1."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The shift of the targets against the inputs, plus what the loss shifts on its own."""
        alignment = found(facts, "alignment")
        agreement, best = by_name(alignment, "agreement"), number(alignment, "best")
        added = number(alignment, "loss_shift")
        shift = best + (0 if math.isnan(added) else added)
        most, next_token = (agreement.get(f"{at:.0f}", math.nan) for at in (best, RIGHT))
        better = best == RIGHT or most > next_token + CLEAR or (most > CLEAR and math.isnan(next_token))
        if math.isnan(shift) or shift == RIGHT or not better or not most > CLEAR:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"labels are misaligned: training predicts the token {_place(shift)}, expected the next one"
            f" (targets equal the inputs shifted by {best:.0f} in {show(most, '%')}"
            f"{f', the loss shifts by {added:.0f}' if added else ''})",
            remedy="Are labels shifted exactly once, by the data or by the model's loss?",
            weight=0.97,
            evidence=(
                f"agreement at shift 1: {show(next_token, '%')}, at {best:.0f}: {show(most, '%')}",
                "the answer stands in the input" if shift <= 0 else f"{shift - 1:.0f} tokens are skipped",
            ),
        )


def _place(shift: float) -> str:
    if shift == 0:
        return "it reads"
    return f"{abs(shift):.0f} positions {'ahead' if shift > 0 else 'back'}"

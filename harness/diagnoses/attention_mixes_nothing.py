"""Attention mixes nothing: no token has an effect on any later position."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number
from harness.model import Diagnosis, Facts
from harness.units import show

ALIVE = 1e-3
"""Standard deviations of the logits."""


class AttentionMixesNothing(Diagnostician):
    """A changed token moves its own logits and those of no other position."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """With an inverted mask only the future is mixed; that is another cause."""
        influence = found(facts, "influence")
        past, own, future = (number(influence, key) for key in ("past", "own", "future"))
        if not past < ALIVE or not own > ALIVE or not future < ALIVE:
            return None
        return Diagnosis(
            name=self.name,
            cause="attention mixes nothing: changing a token moves the logits of later positions by"
            f" {show(past, '')} and its own by {show(own, '')} standard deviations",
            remedy="Does attention read keys and values of other positions, or only transform its own input?",
            weight=0.97,
            evidence=(
                f"past {show(past, '')}, own {show(own, '')}, future {show(future, '')}",
                f"asked at weights for O(1) logits, gain {show(number(influence, 'scale'), '')}",
            ),
        )

"""The future leaks: a token changes the logits of earlier positions."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import CLEAR, found, number
from harness.model import Diagnosis, Facts
from harness.units import show

ALIVE = 1e-3


class FutureLeaks(Diagnostician):
    """Whatever the distance; says how the mask is wrong where that fits."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Any influence above rounding on an earlier position."""
        influence = found(facts, "influence")
        future, past = number(influence, "future"), number(influence, "past")
        if not future > CLEAR:
            return None
        leak = influence.get("first_leak")
        changed, position = (number(leak, key) for key in ("changed", "position"))
        where = ""
        if changed > position >= 0:
            where = f": changing token {changed:.0f} moves the logits at position {position:.0f}"
        return Diagnosis(
            name=self.name,
            cause=f"the future leaks{where} (by up to {show(future, '')} standard deviations)",
            remedy=_remedy(past, changed - position),
            weight=0.975,
            evidence=(
                f"future {show(future, '')}, past {show(past, '')}, own {show(number(influence, 'own'), '')}",
                f"the first leak reaches back {show(changed - position, '')} positions",
            ),
        )


def _remedy(past: float, distance: float) -> str:
    if past < ALIVE:
        return "Is the causal mask inverted? Positions see the future and not the past"
    if distance == 1:
        return "Is the causal mask missing, or off by one (tril(1))? Position i may see 0 to i"
    return "Is the causal mask applied, with the polarity that the attention kernel expects?"

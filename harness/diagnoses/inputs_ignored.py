"""The model ignores its inputs: it does as well blind."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._blindness import blind_and_seeing
from harness.diagnoses._evidence import found, number, trace_of, uniform_of
from harness.model import Diagnosis, Facts
from harness.units import show

ROUNDING = 1e-6


class InputsIgnored(Diagnostician):
    """No token moves a logit, or training on constant inputs ends at the very same loss."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Equal to rounding: inputs that are merely of little use end at another loss."""
        influence = found(facts, "influence")
        own, past, future = (number(influence, key) for key in ("own", "past", "future"))
        deaf = own < ROUNDING and past < ROUNDING and not future > ROUNDING
        blind, seeing = blind_and_seeing(facts)
        equal = abs(seeing - blind) <= ROUNDING * blind
        if not deaf and not equal:
            return None
        cause = (
            f"inputs are ignored: no changed token moves any logit (by {show(own, '')} standard deviations)"
            if deaf
            else f"inputs are ignored: the loss ends at {show(seeing, '')} with constant inputs too"
        )
        return Diagnosis(
            name=self.name,
            cause=cause,
            remedy="Do the inputs reach the model, or is a constant, a wrong column or a stale buffer read?",
            weight=0.72 if _uniform(facts) else 0.96 if deaf else 0.9,
            evidence=(
                f"influence: own {show(own, '')}, past {show(past, '')}",
                f"blind loss {show(blind, '')}",
            ),
        )


def _uniform(facts: Facts) -> bool:
    """Constant logits are deaf too, and have a name of their own."""
    trace, uniform = trace_of(facts), uniform_of(facts)
    return trace is not None and bool((abs(trace.loss - uniform) <= 1e-4 * uniform).all())

"""Do the inputs hold their own answers?"""

import math

from harness.diagnoses._evidence import by_name, found
from harness.model import Facts


def answers_in_inputs(facts: Facts) -> float:
    """Share of targets that replace the token that is read; 0 where the tokens tell nothing of the kind.

    Where the next token is not the target, the one that is being read is: so the answer was put in its place.
    """
    agreement = by_name(found(facts, "alignment"), "agreement")
    following, reading = (agreement.get(shift, math.nan) for shift in ("1", "0"))
    replaced = 1 - following
    return reading if 0.03 < replaced < 0.97 and 0.9 * replaced <= reading < 0.95 else 0.0

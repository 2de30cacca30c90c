"""A model that foretells values in their order sees each of them at the place where it is the target."""

import math

from harness.diagnoses._program import ProgramDiagnostician, count, entries, main_site
from harness.model import Diagnosis, Facts


class OwnValueIsTarget(ProgramDiagnostician):
    """Changes one value for a copy of the model, where targets are the inputs at their own places.

    Healthy: a model that looks both ways, or at one place only, as those do that compress what they are
    given; one whose own value gets through in part; a target that comes later, or is free of noise.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The output depends on its own value and on earlier ones, on none that follows; the loss falls."""
        for asked in entries(facts, "behaviour", "models"):
            own, later = count(asked, "value_own"), count(asked, "value_later")
            causal = count(asked, "value_earlier") < 1e-5 and later > 1e-4
            if own > 1e-3 and causal and count(asked, "value_passes") > 0.02 and _learns(facts):
                return self.finding(
                    "the answer is the input: every target is the value that the model is given at that very"
                    f" place, and that value moves the output there by {own:.2g} (relative), as earlier ones"
                    " do and later ones do not",
                    "Let no place see its own value: hold output[:, :-1] to values[:, 1:], or leave out the"
                    " centre of the first masked convolution (type A).",
                    0.8,
                )
        return None


def _learns(facts: Facts) -> bool:
    """Whether the loss ended well below that of the best constant, or still falls."""
    site = main_site(facts)
    chance, final = count(site, "chance"), count(site, "final")
    return not math.isfinite(chance) or final < 0.5 * chance or count(site, "falling") > 2

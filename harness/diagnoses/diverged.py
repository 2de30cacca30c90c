"""Training makes the model worse."""

import math

from harness.diagnoses._program import ProgramDiagnostician, alone_in_program, at, count, main_site
from harness.model import Diagnosis, Facts


class Diverged(ProgramDiagnostician):
    """Compares the last losses with the first, and with what a model without inputs reaches."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Far above both."""
        site = main_site(facts)
        first, final, chance = (count(site, key) for key in ("first", "final", "chance"))
        if count(site, "calls") < 20 or not alone_in_program(facts) or not first > 0 or not site.get("whole"):
            return None
        known = math.isfinite(chance) and chance > 0
        if final < 1.5 * first or (known and final < 1.5 * chance):
            return None
        return self.finding(
            f"training makes it worse: the loss goes from {first:.4g} to {final:.4g}{at(site.get('where'))}",
            "Lower the learning rate; does the optimizer go down the gradient of this loss?",
            0.75 if known else 0.45,
        )

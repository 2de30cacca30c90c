"""Weight decay pulls as hard as the loss does from the beginning: weights shrink in place of learning."""

from harness.diagnoses._program import ProgramDiagnostician, count, of_training, steps_of
from harness.model import Diagnosis, Facts

LEAST = 20
"""Updates."""
MUCH = 0.3
"""Of the gradient of the loss. A decay that is meant to be felt slowly begins at a hundredth."""
SHRUNK = 0.75
"""Of what the weights were at the beginning."""


class DecayOutweighsLoss(ProgramDiagnostician):
    """Compares what weight decay asks of the weights with what the loss asks, while that is still large."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """In the first quarter of the updates, and weights that end smaller than they began."""
        told = of_training(facts, "decays")
        pull, left = count(told, "pull"), count(told, "left")
        if steps_of(facts) < LEAST or pull < MUCH or left > SHRUNK:
            return None
        within = "" if told.get("apart") else ", which adds it to the gradient"
        return self.finding(
            f"weight decay of {count(told, 'decay'):.4g} ({told.get('kind')}{within}) pulls {pull:.2g} times"
            f" as hard as the loss from the beginning: matrices end at {left:.0%} of their first size",
            "Decay less" + (" (1e-4 is usual), or use AdamW." if within else " (0.01 to 0.1 is usual)."),
            0.85 if pull > 1 else 0.7,
            step=0,
        )

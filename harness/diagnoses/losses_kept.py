"""Losses are kept with their history: every step leaves its graph behind."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts


class LossesKept(ProgramDiagnostician):
    """Counts losses of earlier steps that are still alive."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Most of them."""
        told = found(facts, "cycle")
        kept, older = count(told, "kept_losses"), count(told, "older_losses")
        if older < 20 or kept < 0.8 * older:
            return None
        return self.finding(
            f"losses are kept with their history: {kept:.0f} of {older:.0f} earlier ones are still"
            " alive, each with the"
            " graph that made it",
            "Keep loss.item() or loss.detach(), not the loss.",
            0.7,
        )

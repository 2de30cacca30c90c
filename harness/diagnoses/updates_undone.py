"""Weights are put back after every update."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class UpdatesUndone(ProgramDiagnostician):
    """Reads the weights before and after each update."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """At least half of the updates."""
        story = of_training(facts, "cycle")
        steps, undone = count(story, "steps"), count(story, "undone")
        if steps < ENOUGH or undone < 0.3 * steps:
            return None
        return self.finding(
            f"updates are undone: before {undone:.0f} of {steps:.0f} updates the weights stood again"
            " where they had"
            " stood before the last one",
            "What writes to the weights between updates: a checkpoint that is loaded, a copy that is"
            " restored?",
            0.93,
        )

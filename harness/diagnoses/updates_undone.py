"""Weights are put back to where they stood before."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class UpdatesUndone(ProgramDiagnostician):
    """Compares the weights before each update with all states that updates began from."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Again and again, to where training was long ago; to lately is a step that was rejected."""
        story = of_training(facts, "cycle")
        steps, undone = count(story, "steps"), count(story, "undone")
        if steps < ENOUGH or undone < 2 or undone < 0.02 * steps:
            return None
        return self.finding(
            f"updates are undone: before {undone:.0f} of {steps:.0f} updates the weights stood again"
            " exactly where"
            " an earlier update had begun",
            "What writes to the weights between updates: a checkpoint that is loaded, a copy that is"
            " restored?",
            0.9 if count(story, "undone_longest") > 0.4 * steps else 0.45,
        )

"""An evaluation leaves other weights in the model than it found."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts

LEAST = 3
"""Evaluations that a habit shows in."""


class EvaluationLeavesWeights(ProgramDiagnostician):
    """Compares the weights before and after each evaluation that lies between two updates."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Other ones after nearly every evaluation, and at hardly any other time: slow weights move often."""
        story = of_training(facts, "cycle")
        evaluated, moved, steps = (count(story, key) for key in ("evaluated", "moved_evaluated", "steps"))
        elsewhere = count(story, "moved_between") - moved
        if steps < ENOUGH or evaluated < LEAST or moved < 0.9 * evaluated or elsewhere > 0.1 * moved:
            return None
        # To go back to where an update began is another matter.
        if evaluated > 0.5 * steps or count(story, "undone") > 0.5 * moved:
            return None
        return self.finding(
            f"evaluation leaves other weights behind: after {moved:.0f} of {evaluated:.0f} evaluations"
            " training went on from weights that no update had made",
            "Put back what averaged or best weights replaced for the evaluation, or evaluate a copy.",
            0.8,
        )

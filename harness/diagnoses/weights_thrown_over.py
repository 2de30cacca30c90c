"""Weights are replaced by others in the middle of a training."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class WeightsThrownOver(ProgramDiagnostician):
    """Compares the weights before each update with where the last one left them."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A jump of about their own size, under the same optimizer."""
        story = of_training(facts, "cycle")
        steps, jumps = count(story, "steps"), count(story, "thrown_over")
        if steps < ENOUGH or not jumps or count(story, "undone") >= jumps:
            return None
        return self.finding(
            f"weights are replaced {jumps:.0f} times between updates, by others that have nothing to do"
            " with them",
            "Is the model initialised, or another one copied in, again and again (each epoch, each call)?",
            0.75 if jumps > 1 else 0.45,
        )

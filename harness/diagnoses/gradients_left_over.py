"""Gradients of earlier steps are still there when the next ones are added: zero_grad is missing."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class GradientsLeftOver(ProgramDiagnostician):
    """Reads the order of calls: at no backward pass since the last update were the gradients cleared."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Nearly every update; a program that adds up on purpose clears once an update."""
        story = of_training(facts, "cycle")
        looked, dirty = count(story, "looked"), count(story, "dirty")
        tries, left = count(story, "tries"), count(story, "tries_dirty")
        if tries >= ENOUGH and left > 0.8 * tries:
            return self.finding(
                f"gradients are never cleared within an update: at {left:.0f} of {tries:.0f} evaluations of"
                " the closure those of other weights were still there",
                "Call optimizer.zero_grad() inside the closure.",
                0.97,
            )
        if looked < ENOUGH or dirty < 0.8 * looked:
            return None
        return self.finding(
            f"gradients are never cleared: {dirty:.0f} of {looked:.0f} updates added to those of the"
            " update before",
            "Call optimizer.zero_grad() once an update, before the first backward().",
            0.97,
            step=1,
        )

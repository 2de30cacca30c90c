"""Gradients of most micro-batches are cleared before any update uses them."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class MicroBatchesThrownAway(ProgramDiagnostician):
    """Reads the order of calls: backward, clear, backward, step."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Every update, in a program that wants no gradients of its inputs (an attack does so rightly)."""
        story = of_training(facts, "cycle")
        steps, thrown = count(story, "steps"), count(story, "thrown_away")
        # Who sets gradients of its own before the update has kept what it cleared: per task, per sample.
        own = count(story, "replaced") > 0.5 * count(story, "looked")
        if (
            steps < ENOUGH
            or thrown < 0.7 * min(steps, 100)
            or own
            or count(found(facts, "cycle"), "input_gradients")
        ):
            return None
        return self.finding(
            f"gradients are thrown away: {thrown:.0f} backward passes were cleared before an update used them"
            f" ({count(story, 'backwards_per_step'):.0f} backward passes an update)",
            "Clear gradients once an update, not once a micro-batch.",
            0.85,
        )

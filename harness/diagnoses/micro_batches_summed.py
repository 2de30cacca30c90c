"""Gradients of micro-batches add up without being divided by their number."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class MicroBatchesSummed(ProgramDiagnostician):
    """Reads the order of calls: several backward passes an update, each of the loss function's own mean."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Three and more an update: with two, they may be two losses."""
        story = of_training(facts, "cycle")
        each, undivided = count(story, "backwards_per_step"), count(story, "undivided")
        steps = count(story, "steps")
        if count(story, "replaced") > 0.5 * count(story, "looked"):
            return None
        if steps < ENOUGH or each < 3 or undivided < 0.9 * each * steps:
            return None
        return self.finding(
            f"micro-batches are summed: {each:.0f} backward passes an update, each of a mean loss that"
            " is not divided"
            f" by {each:.0f}: gradients are {each:.0f} times those of the batch",
            "Divide each loss by the number of micro-batches (or by the tokens of the whole batch).",
            # Passes that reach different tensors are those of different losses, or tasks.
            0.45 if count(story, "parts") > 0.3 * undivided else 0.65,
        )

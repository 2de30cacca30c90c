"""An optimizer steps again on gradients that it has used already."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class SteppedAgain(ProgramDiagnostician):
    """Reads the order of calls: an update without any backward pass since the one before."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """At least half of the updates."""
        story = of_training(facts, "cycle")
        looked, repeated = count(story, "looked"), count(story, "repeated")
        if looked < ENOUGH or repeated < 0.3 * looked:
            return None
        return self.finding(
            f"the update is applied again: {repeated:.0f} of {looked:.0f} optimizer.step() calls follow"
            " another one"
            " without a backward() between them",
            "Call optimizer.step() once for each gradient.",
            0.95,
            step=1,
        )

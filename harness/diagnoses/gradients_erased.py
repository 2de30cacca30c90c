"""Gradients are cleared between the backward pass and the update."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class GradientsErased(ProgramDiagnostician):
    """Reads the order of calls: a backward pass ran, and at the update all gradients were zero or gone."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """At least half of the updates."""
        story = of_training(facts, "cycle")
        looked, erased = count(story, "looked"), count(story, "erased")
        if looked < ENOUGH or erased < 0.5 * looked:
            return None
        return self.finding(
            f"no gradient reaches the optimizer: at {erased:.0f} of {looked:.0f} updates all gradients"
            " were zero or"
            " None although a backward pass had run",
            "Is zero_grad() called between backward() and step(), does the optimizer hold these"
            " parameters, and does"
            " the loss depend on them?",
            0.9,
            step=0,
        )

"""Micro-batches that count different numbers of targets are weighed alike."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, of_training
from harness.model import Diagnosis, Facts


class MeanOfMeansInProgram(ProgramDiagnostician):
    """Compares the targets of every micro-batch with the gradient that they get together."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Sizes that differ by more than 30 % in most updates, and count as much as each other."""
        told = found(facts, "shares")
        steps, alike = count(told, "steps"), count(told, "alike")
        if alike < ENOUGH or alike < 0.5 * steps:
            return None
        if count(of_training(facts, "cycle"), "backwards_per_step") < 2:
            return None
        return self.finding(
            f"a mean of means: at {alike:.0f} of {steps:.0f} updates, micro-batches count different numbers"
            f" of targets and each loss{at(told.get('where'))} is divided by its own",
            "Sum the losses, and divide by the targets of the whole batch.",
            0.7,
        )

"""Micro-batches that count different numbers of targets are weighed alike."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training, training_sites
from harness.model import Diagnosis, Facts


class MeanOfMeansInProgram(ProgramDiagnostician):
    """Counts the targets of every micro-batch."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Sizes that differ by more than 30 % in most updates, each divided by its own count."""
        told = found(facts, "losses")
        steps, ragged = count(told, "micro_steps"), count(told, "ragged")
        if (
            steps < ENOUGH
            or ragged < 0.5 * steps
            or count(of_training(facts, "cycle"), "backwards_per_step") < 2
        ):
            return None
        weighed_alike = all(site.get("whole") for site in training_sites(facts))
        return self.finding(
            f"a mean of means: at {ragged:.0f} of {steps:.0f} updates, micro-batches count different"
            " numbers of targets"
            " and each loss is divided by its own",
            "Sum the losses, and divide by the targets of the whole batch.",
            # Where what is backpropagated is no fixed multiple of the loss, it may be weighed by the counts.
            0.7 if weighed_alike else 0.45,
        )

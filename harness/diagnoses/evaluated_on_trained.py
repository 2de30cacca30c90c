"""What is evaluated on has been trained on."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts


class EvaluatedOnTrained(ProgramDiagnostician):
    """Compares checksums of samples."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A part of the evaluated samples but not all: a split that overlaps; all of them may be meant."""
        told = found(facts, "batches")
        evaluated, both, samples = (count(told, key) for key in ("evaluated", "in_both", "samples"))
        if evaluated < 16 or both < 0.02 * evaluated or samples < 32:
            return None
        share = both / evaluated
        partly = share < 0.98
        smaller = both < 0.8 * samples
        return self.finding(
            f"{share:.0%} of the {evaluated:.0f} samples that are evaluated were trained on",
            "Split before anything else, and evaluate on the part that training never sees.",
            0.8 if partly and both >= 8 else 0.55 if smaller else 0.3,
        )

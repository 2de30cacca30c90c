"""Every sample that the model is given is the same."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, training_sites
from harness.model import Diagnosis, Facts


class InputsConstant(ProgramDiagnostician):
    """Counts different samples."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """One, in batches of many, with targets that differ; else it may stand for having no input."""
        told = found(facts, "batches")
        steps, drawn, samples = (count(told, key) for key in ("steps", "drawn", "samples"))
        if steps < ENOUGH or samples != 1 or drawn < 8 * steps:
            return None
        targets = [site for site in training_sites(facts) if count(site, "chance") > 0]
        return self.finding(
            f"every sample that the model is given is the same: {drawn:.0f} were drawn, and they are"
            " equal to the bit",
            "Over which axis are inputs normalized, reshaped or broadcast?",
            0.85 if targets else 0.45,
        )

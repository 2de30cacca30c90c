"""Dropout drops nearly everything."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class EverythingDropped(ProgramDiagnostician):
    """Reads the probabilities of dropout layers."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Nine tenths and more."""
        for modes in entries(facts, "modes", "models"):
            share = count(modes, "dropout")
            if share >= 0.9:
                return self.finding(
                    f"dropout of {share:g} in {modes['model']} lets {1 - share:.0%} of the activations pass",
                    "nn.Dropout takes the share that is dropped, not the one that is kept.",
                    0.9 if share > 0.98 else 0.7,
                )
        return None

"""In evaluation mode, the same input gives different outputs."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class RandomInEvaluation(ProgramDiagnostician):
    """Asks a copy of the model twice."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A guess: a model that samples (a variational one, a denoiser) does so rightly."""
        for asked in entries(facts, "behaviour", "models"):
            apart = count(asked, "evaluation_differs")
            if apart > 1e-4:
                return self.finding(
                    f"{asked['model']} in evaluation mode gives outputs that differ by {apart:.2g}"
                    " (relative) from one call"
                    " to the next",
                    "Pass training=self.training to functional dropout; draw no noise in evaluation.",
                    0.4,
                )
        return None

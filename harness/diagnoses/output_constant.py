"""The model gives every sample the same output."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, entries, steps_of
from harness.model import Diagnosis, Facts

REMEDY = (
    "Does the input reach the output: dead units, a zeroed layer, dropout of everything, a detached path?"
)


class OutputConstant(ProgramDiagnostician):
    """Asks a copy of the model in evaluation mode."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Outputs of different samples are alike to rounding."""
        for asked in entries(facts, "behaviour", "models"):
            spread = asked.get("rows_spread")
            if isinstance(spread, float) and spread < 1e-5 and steps_of(facts) >= ENOUGH:
                return self.finding(
                    f"{asked['model']} gives every sample the same output (spread {spread:.1e}, relative)",
                    REMEDY,
                    0.85,
                )
            follows = asked.get("follows_input")
            if isinstance(follows, float) and follows < 0.02 and steps_of(facts) >= ENOUGH:
                return self.finding(
                    f"{asked['model']} ignores its input: with every sample replaced by the next, its"
                    " output moves by"
                    f" {follows:.2%} of its range",
                    REMEDY,
                    0.65,
                )
        return None

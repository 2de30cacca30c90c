"""A decoder is given the very token that it is to predict."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class AnswerGiven(ProgramDiagnostician):
    """Compares every integer input with the targets, and changes it for a copy of the model."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """It holds the targets in place, and each reaches its own prediction."""
        for asked in entries(facts, "behaviour", "models"):
            moved = count(asked, "answer_given")
            if moved > 1e-4:
                return self.finding(
                    f"an input of {asked['model']} holds the targets, each at the place where it is to"
                    " be predicted, and"
                    f" moves that prediction by {moved:.2g} (relative)",
                    "Shift what the decoder is given: a start token, then targets[:, :-1].",
                    0.9,
                )
        return None

"""Weights that were tied are so no more: one side was replaced."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ProgramDiagnostician, steps_of
from harness.model import Diagnosis, Facts


class TieLost(ProgramDiagnostician):
    """Compares what shared a parameter when the model was made with what shares it in the end."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """One side is left, and another parameter of the same form stands where the other side was."""
        lost = names(found(facts, "ties"), "lost")
        if not lost or steps_of(facts) < 2:
            return None
        return self.finding(
            f"the tie of {listed(lost)} is lost: it was shared by two modules, one of which was replaced by"
            " another with weights of its own",
            "Tie again after the last replacement, or copy values into the weights that are there.",
            0.7,
            tensor=lost[0],
        )

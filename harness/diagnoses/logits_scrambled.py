"""Scores of classes are reshaped without moving the axis of the classes: places and classes are mixed up."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, entries
from harness.model import Diagnosis, Facts


class LogitsScrambled(ProgramDiagnostician):
    """Reads the shapes before and after the reshape that a loss function's input came from."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """(B, C, L) read as (B * L, C), several times."""
        told = entries(facts, "losses", "scrambled")
        if len(told) < ENOUGH:
            return None
        return self.finding(
            f"scores are reshaped between {told[0].get('shapes')}{at(told[0].get('where'))}: a row of the"
            " result holds one class at several places, not all classes of one place",
            "Move the classes to the end first (permute), or give the loss (B, C, ...) as it is.",
            0.93,
        )

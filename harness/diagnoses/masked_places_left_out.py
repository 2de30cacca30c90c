"""A masked language model is asked for the tokens that it sees, and not for those that are hidden."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class MaskedPlacesLeftOut(ProgramDiagnostician):
    """Compares targets with the inputs at their places."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Targets equal what is given; what the loss leaves out is one token, in the midst of the rows."""
        for asked in entries(facts, "behaviour", "models"):
            if count(asked, "hidden"):
                return self.finding(
                    "the loss leaves out the places that are masked in the input, and asks for tokens that"
                    " the input shows",
                    "Set the targets of the visible places to -100, not those of the masked ones.",
                    0.9,
                )
        return None

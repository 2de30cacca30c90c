"""No token has an effect on later positions of a language model."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class PositionsMixNothing(ProgramDiagnostician):
    """Changes one token for a copy of the model in evaluation mode."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Targets are the next tokens; later outputs stay to the last bit."""
        for asked in entries(facts, "behaviour", "models"):
            shifts = asked.get("shifts", {})
            if (
                count(shifts, "1") > 0.9
                and "later" in asked
                and asked["later"] == 0
                and count(asked, "own") > 0
            ):
                return self.finding(
                    "no token has an effect on later positions: every output depends on its own token alone",
                    "Is attention a placeholder, masked entirely, or not added to the stream?",
                    # A model that knows of no positions at all, of pairs of tokens say, is meant so.
                    0.6 if asked.get("place_matters") else 0.4,
                )
        return None

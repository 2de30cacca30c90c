"""A token changes the model's outputs at earlier positions, while the next token is what it predicts."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class FutureSeen(ProgramDiagnostician):
    """Changes one token for a copy of the model in evaluation mode."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Targets are the next tokens, and earlier outputs move."""
        for asked in entries(facts, "behaviour", "models"):
            shifts = asked.get("shifts", {})
            following = max(count(shifts, "1"), count(shifts, "2")) > 0.9
            earlier = count(asked, "earlier")
            if following and earlier > 1e-4:
                return self.finding(
                    f"the future is seen: a token changes outputs at earlier positions by {earlier:.2g}"
                    " (relative), and"
                    " the targets are the tokens that follow",
                    "Mask the future in attention (is_causal=True), and let no layer mix positions"
                    " backwards.",
                    0.95,
                )
        return None

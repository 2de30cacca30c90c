"""What comes next changes outputs before it, while it is what they are to predict."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

MOVED = 1e-3


class FutureSeen(ProgramDiagnostician):
    """Changes one token, or one value, for a copy of the model in evaluation mode."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Targets are the next tokens, or the next values, and earlier outputs move."""
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
            seen = count(asked, "next_value_seen")
            if seen > MOVED:
                return self.finding(
                    f"the future is seen: a value changes outputs at earlier places by {seen:.2g} (relative),"
                    " and the targets are the values that follow",
                    "Pad convolutions on the left only, mask the future in attention, and let no layer look"
                    " back from the end.",
                    0.9,
                )
        return None

"""Targets of a language model are not the next tokens."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class TargetsShifted(ProgramDiagnostician):
    """Compares integer targets with the inputs they belong to."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Nearly all equal their own input, in a model that sees no future; or the token after the next."""
        for asked in entries(facts, "behaviour", "models"):
            shifts = asked.get("shifts", {})
            same, following, after = (count(shifts, key) for key in ("0", "1", "2"))
            causal = count(asked, "earlier") == 0 and "earlier" in asked
            if same > 0.95 and following < 0.9 and causal:
                return self.finding(
                    f"targets are not shifted: {same:.0%} of them are the input at their own position",
                    "Predict the next token: logits[:, :-1] against tokens[:, 1:].",
                    # A model that works on single tokens may be meant to give them back.
                    0.93 if count(asked, "later") > 0 else 0.45,
                )
            if after > 0.95 and following < 0.9:
                return self.finding(
                    f"targets are shifted twice: {after:.0%} of them are the token after the next",
                    "Shift once: either in the data or in the loss, not in both.",
                    0.9,
                )
        return None

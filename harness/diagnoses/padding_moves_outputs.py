"""What stands behind the end of a sample changes its output."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

FAR = 0.05
"""Of the largest deviation of an output from the mean of its batch; rounding is far below."""


class PaddingMovesOutputs(ProgramDiagnostician):
    """Calls a copy of the model again with the shorter samples of the last batch, without their padding."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """By more than a twentieth of what tells samples apart, in the median sample."""
        for model in entries(facts, "behaviour", "models"):
            moves = count(model, "padding_moves")
            if moves <= FAR:
                continue
            return self.finding(
                f"padding changes what {model['model']} gives: without the padding behind them, samples get"
                f" outputs that differ by {moves:.2g} (relative)",
                "Take the state at each sample's last place (by its length, or pack_padded_sequence), and"
                " mask attention, means and largest values.",
                0.75,
            )
        return None

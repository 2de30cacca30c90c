"""The token that ends a row is also the padding, and is left out of the loss with it."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, at, count
from harness.model import Diagnosis, Facts

LEAST_ROWS = 24


class EndLeftOut(ProgramDiagnostician):
    """Looks at the last attended token of each row.

    Healthy: the end is asked for although padding looks the same; a prompt is left out, and no more.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Nearly all rows end in the padding token, attended, and it is a target nowhere."""
        told = found(facts, "endings")
        rows, left_out = count(told, "rows"), count(told, "left_out")
        if rows < LEAST_ROWS or left_out < 0.8 * rows or count(told, "asked") or count(told, "tokens") != 1:
            return None
        return self.finding(
            f"token {count(told, 'token'):.0f} ends the rows and pads them too, and the loss leaves it out"
            f" everywhere{at(told.get('where'))}: in {left_out:.0f} of {rows:.0f} rows the end is attended to"
            " and is no target, so the model never learns to stop",
            "Give padding a token of its own, or leave out of the labels what the attention mask leaves out,"
            " and not every token that looks like padding.",
            0.85,
        )

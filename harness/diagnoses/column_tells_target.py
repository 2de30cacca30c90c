"""An input column knows the target in training, and no longer does in evaluation."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

SURE = 6.0
"""Standard errors."""
MUCH = 0.3
"""Standard deviations of the column, or units of Fisher's transformation."""
LEAST_COLUMNS = 3
TYPICAL = 2.0
"""Standard errors by which columns differ, where the two sides are samples of the same."""


class ColumnTellsTarget(ProgramDiagnostician):
    """Compares, column by column, what goes with the target in training with what does in evaluation."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """One or a few of many: where all differ, the two are of different kinds, on purpose or not."""
        told = found(facts, "columns")
        apart = [
            (column, ours, theirs)
            for each in entries(facts, "columns", "apart")
            for column, ours, theirs in [(count(each, key) for key in ("column", "trained", "evaluated"))]
            if count(each, "score") > SURE and abs(ours) > abs(theirs) + MUCH
        ]
        number = count(told, "columns")
        if not apart or len(apart) > max(1, 0.1 * number):
            return None
        if number < LEAST_COLUMNS or count(told, "typical") > TYPICAL:
            return None
        column, ours, theirs = apart[0]
        how = "standard deviations between the two classes" if told.get("two_classes") else "(Fisher's z)"
        return self.finding(
            f"input column {column:.0f} tells the target in training and not in evaluation: {abs(ours):.2g}"
            f" and {abs(theirs):.2g} {how}, while the other {number - len(apart):.0f} columns agree",
            "Was it made from the targets, those of the same row included, or from what is known only later?"
            " Fit encodings on other rows than those that they are used for.",
            0.75,
        )

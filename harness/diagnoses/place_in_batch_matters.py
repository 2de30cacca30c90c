"""One sample's output depends on where in the batch it stands."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

MOST = 0.8
"""Of the samples: where the batch is cut into parts on purpose, one step further few change theirs."""


class PlaceInBatchMatters(ProgramDiagnostician):
    """Gives a copy of the model, in evaluation mode, the last batch with each sample one place further on.

    Healthy: the outputs come in that order too. Nothing is said where samples see each other, or where each
    batch is the same: its rows may have something of their own.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Nearly all samples get another output at another place."""
        if count(found(facts, "batches"), "different_batches") == 1:
            return None
        for asked in entries(facts, "behaviour", "models"):
            drawn = asked.get("evaluation_differs") is None or count(asked, "evaluation_differs") > 0
            share = count(asked, "moved_by_place")
            if not drawn and MOST <= share <= 1:
                return self.finding(
                    f"{share:.0%} of the samples of a batch get another output from"
                    f" {asked.get('model')} one place further on, with all samples the same",
                    "Are positions counted along the batch instead of the length, as by arange(x.size(0))?"
                    " Is something added whose first axis is not that of the samples?",
                    0.9,
                )
        return None

"""Fetching a sample writes into the stored data: with every pass they are further from what they were."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, at, count, entries
from harness.model import Diagnosis, Facts

REMEDY = (
    "Make a copy before anything works in place (row = row.clone(), array.copy()), or write"
    " row = (row - mean) / std."
)


class DataChangedInPlace(ProgramDiagnostician):
    """Compares stored data before and after they are fetched, or given to a model.

    Healthy: caches that are filled once for each sample, buffers for one batch, what is written between
    two fetches.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The same data are written to in later passes as well, by what reads them."""
        for told in entries(facts, "stored", "sets"):
            rewriting, late = count(told, "rewriting"), count(told, "late")
            if rewriting >= min(2, late) > 0:
                return self.finding(
                    f"fetching a sample of {told.get('kind')} changes the stored data themselves"
                    f"{at(told.get('where'))}, in later passes again: each goes on from the one before",
                    REMEDY,
                    0.85,
                )
        views = found(facts, "views")
        parts, drifting = count(views, "parts"), count(views, "drifting")
        if parts < 4 or drifting < 0.8 * parts:
            return None
        how = "some more of their values covered" if views.get("how") == "covered" else "scaled once more"
        return self.finding(
            f"the inputs are parts of a stored tensor and are changed in place: {drifting:.0f} of"
            f" {parts:.0f} parts that were looked at come back {how} each time{at(views.get('where'))}",
            REMEDY,
            0.85,
        )

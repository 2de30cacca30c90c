"""Parts of one data set share its transform: one part's was switched, and so was the other's."""

from harness.diagnoses._program import ProgramDiagnostician, at, entries
from harness.model import Diagnosis, Facts


class TransformShared(ProgramDiagnostician):
    """Looks at what a data set of several parts has lost, or got in its place, between split and first batch.

    Healthy: a transform that is first set after the split, one that is switched for every phase, and parts
    of two data sets.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A transform was there, is gone, and all batches of training and evaluation came without it."""
        for told in entries(facts, "switches", "switched"):
            aimed, off, flag = (told.get(key) is True for key in ("aimed", "off", "flag"))
            if not told.get("was") or (flag and not aimed):
                continue
            certain = aimed or (off and told.get("at_split") is True)
            return self.finding(
                f"the parts for training and for evaluation are of one data set, whose"
                f" {told.get('attribute')} is {told.get('is')} for both{at(told.get('where'))}: the"
                f" {told.get('was')} that it had after the split is never used",
                "Make two data sets, each with its own transform, and take the same split of both.",
                0.8 if certain else 0.4,
            )
        return None

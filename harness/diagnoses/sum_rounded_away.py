"""A sum or a counter is kept in a format that is too coarse for what is added to it."""

from harness.diagnoses._program import ProgramDiagnostician, at, count, entries
from harness.model import Diagnosis, Facts

FAR = 0.02


class SumRoundedAway(ProgramDiagnostician):
    """Compares sums in sixteen bits with the exact ones.

    Healthy: sums of a few numbers, sums in float32, moving averages, whose old values lose their weight.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The worst of them is far from what was added."""
        sums = [each for each in entries(facts, "sums", "sums") if count(each, "error") > FAR]
        worst = max(sums, key=lambda each: count(each, "error"), default=None)
        if worst is None or count(worst, "added") < 8:
            return None
        return self.finding(
            f"a sum in {worst.get('format')} is {count(worst, 'kept'):.6g} after"
            f" {count(worst, 'added'):.0f} additions, and should be {count(worst, 'exact'):.6g}"
            f"{at(worst.get('where'))}: what is small against the sum is rounded away",
            "Keep sums and counters in float32, or as numbers of Python (.item()).",
            0.85,
        )

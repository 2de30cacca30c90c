"""What the model is evaluated on shares measurements with what it was trained on: windows that overlap."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

LEAST_WINDOWS = 24


class WindowsOverlap(ProgramDiagnostician):
    """Compares short pieces of samples, wherever in them they stand.

    Healthy: a split by time, where windows overlap at the border only, and on one side; a split by record.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A fixed set of overlapping windows, and held-out ones with trained steps early and late."""
        for told in entries(facts, "windows", "models"):
            windows, both = count(told, "windows"), count(told, "on_both_sides")
            fixed = count(told, "drawn") > 1.7 * count(told, "samples") >= 32
            if not fixed or windows < LEAST_WINDOWS or both < 0.5 * windows or count(told, "often") > 0.3:
                continue
            if count(told, "own_overlap") < 1.3:
                continue
            return self.finding(
                f"{count(told, 'overlapping') / windows:.0%} of the held-out samples are windows that overlap"
                f" those that were trained on: {count(told, 'shared'):.0%} of their steps were seen in"
                " training, value for value",
                "Split the records (or their time) first, and cut windows from each part then; random windows"
                " of one record share its values.",
                0.8,
            )
        return None

"""Workers of a data loader all read the same samples."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class WorkersRepeatSamples(ProgramDiagnostician):
    """Compares checksums of the samples of one pass."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Each comes as often as there are workers."""
        for loader in entries(facts, "loaders", "loaders"):
            copies, workers = count(loader, "copies"), count(loader, "workers")
            if workers > 1 and copies > 0.8 * workers:
                return self.finding(
                    f"every sample comes {copies:.1f} times a pass: {workers:.0f} workers read the same data",
                    "Divide an IterableDataset by torch.utils.data.get_worker_info().",
                    0.95,
                )
        return None

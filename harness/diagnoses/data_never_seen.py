"""A large part of the data is never drawn."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class DataNeverSeen(ProgramDiagnostician):
    """Compares the samples that came with the size of the data set."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """After as many draws as make three passes."""
        told = found(facts, "batches")
        drawn, samples = count(told, "drawn"), count(told, "samples")
        sizes = [
            count(one, "size")
            for one in entries(facts, "loaders", "loaders")
            if count(one, "passes_in_training")
        ]
        size = max(sizes, default=0.0)
        if size < 16 or drawn < 3 * size or samples > 0.1 * size:
            return None
        return self.finding(
            f"of {size:.0f} samples only {samples:.0f} were ever drawn, in {drawn:.0f} draws",
            "Which samples does the sampler give? Is the loader begun again before it is through?",
            0.7,
        )

"""A large part of the data is never drawn."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

LEAST = 16
"""Of fewer samples, a part is no part."""


class DataNeverSeen(ProgramDiagnostician):
    """Counts the samples that samplers give."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """After as many draws as the data are long; a sampler may be made for a part of them, and say so."""
        for loader in entries(facts, "loaders", "loaders"):
            size, seen, draws = (count(loader, key) for key in ("size", "seen", "draws"))
            meant = min(size, count(loader, "drawable"))
            if meant >= LEAST and seen and draws >= size and seen <= 0.1 * meant and count(loader, "trained"):
                return self._found(size, seen, draws)
        return None

    def _found(self, size: float, seen: float, draws: float) -> Diagnosis:
        return self.finding(
            f"of {size:.0f} samples only {seen:.0f} were ever drawn, in {draws:.0f} draws",
            "Which samples does the sampler give? Is the loader begun again before it is through?",
            0.7,
        )

"""Batch normalization is trained on batches of one sample."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count
from harness.model import Diagnosis, Facts


class NormalizesSingleSamples(ProgramDiagnostician):
    """Counts the samples of each batch."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Most batches."""
        told = found(facts, "layers")
        calls, alone = count(told, "normalized"), count(told, "alone")
        if calls < ENOUGH or alone < 0.5 * calls:
            return None
        return self.finding(
            f"batch normalization works on single samples, {alone:.0f} of {calls:.0f} times",
            "Use larger batches, or a normalization that does not need them (GroupNorm, LayerNorm).",
            0.65,
        )

"""A softmax runs over the samples of a batch."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count
from harness.model import Diagnosis, Facts


class SoftmaxOverSamples(ProgramDiagnostician):
    """Reads the axis of every softmax outside of models."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The first axis of three and more, as long as the batch."""
        told = found(facts, "losses")
        times = count(told, "softmax_over_batch")
        if times < ENOUGH:
            return None
        return self.finding(
            f"a softmax runs over the samples of the batch, {times:.0f} times{at(told.get('softmax_place'))}",
            "Give the axis of the classes: dim=1 for (batch, classes, ...), dim=-1 where they come last.",
            0.75,
        )

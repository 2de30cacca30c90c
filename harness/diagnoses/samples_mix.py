"""One sample's output depends on the other samples of its batch."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class SamplesMix(ProgramDiagnostician):
    """Changes one sample for a copy of the model in evaluation mode.

    Healthy: no other output moves, and none has a gradient for that sample.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Outputs of the others move."""
        # Of a graph, or of one batch that is all there is, samples may be meant to see each other.
        whole = count(found(facts, "batches"), "different_batches") == 1
        for asked in entries(facts, "behaviour", "models"):
            others = count(asked, "other_samples")
            if others > 1e-3:
                # What a statistic without a gradient does, as the scale of a quantiser, may be meant.
                meant = asked.get("related") or whole or not count(asked, "others_felt") > 0
                return self.finding(
                    f"samples mix: changing one sample moves the outputs of others by {others:.2g}"
                    f" (relative) in {asked['model']}",
                    "Which axis is the batch? Check batch_first, the axis of softmax and normalization,"
                    " and reshapes.",
                    0.45 if meant else 0.85,
                )
        return None

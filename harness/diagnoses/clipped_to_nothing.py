"""The clipping limit is so low that next to nothing of the gradients is left."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts
from harness.units import show

LOW = 0.01
"""No usual limit is lower."""


class ClippedToNothing(ProgramDiagnostician):
    """Compares the limit with the norms that are clipped."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The median step keeps less than a thousandth."""
        story = of_training(facts, "cycle")
        share = count(story, "clip_share")
        if count(story, "clipped") < ENOUGH or not 0 < share < 1e-3:
            return None
        return self.finding(
            f"clipping leaves {show(share, '')} of the gradient in the median step",
            "Is the limit meant for this loss? Norms are usually clipped at 0.1 to 10.",
            # Adam takes gradients of any size: large ones, of a sum say, may be cut down to one.
            0.8 if count(story, "clip_limit") < LOW else 0.45,
        )

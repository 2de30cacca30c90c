"""Scores of attention are multiplied where they should be divided."""

from harness.diagnoses._program import ProgramDiagnostician, at, count, entries
from harness.model import Diagnosis, Facts

LARGE = 1.5
"""Times the product of query and key; 1 / sqrt(width) is usual, 1 / width and 1 are known."""
SHARP = 0.8


class AttentionScaleInverted(ProgramDiagnostician):
    """Reads the first scores of attention, before anything was learned."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """More than the product itself, of vectors of any length; proof where it is sharp at once."""
        heads = entries(facts, "attention", "heads")
        sharp = max((count(head, "sharpness") for head in heads), default=0.0) > SHARP
        for head in heads:
            scale, width = count(head, "scale"), count(head, "width")
            if scale > LARGE and not head.get("unit") and width > 1:
                return self.finding(
                    f"scores of attention are {scale:.3g} times the product of query and key"
                    f"{at(head.get('where'))}; 1 / sqrt({width:.0f}) is {width**-0.5:.3g}",
                    "Divide by the root of the width of a head: (q @ k.T) * width ** -0.5.",
                    0.75 if sharp else 0.45,
                )
        return None

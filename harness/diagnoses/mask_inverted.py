"""A mask hides what it should show: the output depends on padding alone, or on padding too."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class MaskInverted(ProgramDiagnostician):
    """Changes what the mask marks, and the rest, for a copy of the model in evaluation mode."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Padding is the side whose values are all the same."""
        for asked in entries(facts, "behaviour", "models"):
            sides = [side for side in ("marked", "unmarked") if asked.get(f"{side}_constant")]
            if len(sides) != 1:
                continue
            padding, real = sides[0], "unmarked" if sides[0] == "marked" else "marked"
            seen, unseen = count(asked, f"{padding}_moves"), count(asked, f"{real}_moves")
            if seen > 1e-3 and unseen < 1e-6 * seen:
                return self.finding(
                    f"the mask is inverted: changing the padding moves the output of {asked['model']}"
                    f" by {seen:.2g}"
                    " (relative), changing what is real by nothing",
                    "scaled_dot_product_attention takes True for what is seen; nn.MultiheadAttention"
                    " for what is not.",
                    0.93,
                )
            if seen > 1e-3:
                return self.finding(
                    f"padding reaches the output of {asked['model']}: changing it moves the output by"
                    f" {seen:.2g} (relative)"
                    " although a mask is given",
                    "Apply the mask in attention and in pooling.",
                    0.6 if seen > 0.1 * unseen else 0.45,
                )
        return None

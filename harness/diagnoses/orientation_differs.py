"""An image is turned over and its target is not, or not in the same way."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts

LEAST_SAMPLES = 32


class OrientationDiffers(ProgramDiagnostician):
    """Compares each target map with its input as it is, and turned over.

    Healthy: a target that is always the input turned over in one way, which is what the model has to learn;
    one that the model comes to foretell, so that the input must tell how it is turned; and an input that fits
    any other sample's target just as well.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Some of the targets fit the image as it is, and some only another orientation of it."""
        told = found(facts, "orientations")
        decisive, own, elsewhere = (count(told, key) for key in ("decisive", "own", "elsewhere"))
        mixed = 0.2 * decisive < elsewhere < 0.95 * decisive and own > 0.05 * decisive
        by_chance = elsewhere < 0.5 * LEAST_SAMPLES or count(told, "ahead") < 0.75 * elsewhere
        foretold = count(told, "late_followed") > 0.5 * count(told, "late_elsewhere")
        if decisive < LEAST_SAMPLES or not mixed or by_chance or foretold:
            return None
        return self.finding(
            f"images and their targets are turned over apart: in {elsewhere:.0f} of {decisive:.0f} samples"
            " the target fits the image flipped or rotated, and not the image as it is",
            "Draw one transform for both: decide once, then flip or rotate the image and its target alike.",
            0.85,
        )

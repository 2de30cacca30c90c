"""Training parts from the reference at a later step, after it began alike."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import CLEAR, found, largest, numbers
from harness.model import Diagnosis, Facts
from harness.units import show


class DivergesFromReferenceAtStep(Diagnostician):
    """The first step whose loss differs clearly while those before agree."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Forward and backward agree at first: what parts them is the update, the data, or a single step."""
        difference = numbers(found(facts, "reference"), "loss_difference")
        clear = ~(difference <= 10 * CLEAR)
        if len(difference) < 2 or not clear.any() or clear[0]:
            return None
        step = int(np.argmax(clear))
        single = int(clear.sum()) == 1
        return Diagnosis(
            name=self.name,
            cause=f"parts from the reference at step {step}: loss differs by"
            f" {show(float(difference[step]), '%')},"
            f" before it by {show(largest(difference[:step]), '%')} at most",
            remedy="Look at the update of the step before: rate, optimizer state, data, or a changed weight"
            if not single
            else "Only this step differs: look at its batch and at how its loss was recorded",
            weight=0.6,
            step=step,
            evidence=(
                f"{int(clear.sum())} of {len(difference)} steps differ",
                f"largest difference {show(largest(difference), '%')}",
            ),
        )

"""Micro-batches of different lengths are weighed alike: a mean of means."""

import math

from harness.diagnoses import Diagnostician
from harness.diagnoses._accumulation import split
from harness.diagnoses._evidence import found
from harness.model import Diagnosis, Facts
from harness.units import show


class MeanOfMeans(Diagnostician):
    """The gradient of a batch points elsewhere than the count-weighted sum over its samples."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A different direction, not only a different length; a slight one may be low precision."""
        seen = split(found(facts, "accumulation"))
        if seen is None or seen.aside < 1e-3:
            return None
        cosine = seen.ratio / math.hypot(seen.ratio, seen.aside)
        return Diagnosis(
            name=self.name,
            cause="mean of means: the gradient of a batch differs from the count-weighted sum"
            " over its samples"
            f" (cosine {show(cosine, '')}, relative distance {show(seen.error, '')})",
            remedy="Divide the summed loss of every micro-batch by the targets of the whole"
            " batch, not by its own",
            weight=0.9 if seen.aside > 0.01 else 0.55,
            step=0,
            tensor=seen.tensor,
            evidence=(f"projection {show(seen.ratio, '')}", f"worst tensor {seen.tensor or 'unknown'}"),
        )

"""Logits tell the classes apart rightly, and are so small that the loss hardly knows of it."""

import math
from collections.abc import Mapping
from typing import Any

from harness.diagnoses._program import ProgramDiagnostician, at, count, training_sites
from harness.model import Diagnosis, Facts

LEAST_CALLS = 40
RIGHT, TIMES_CHANCE = 0.4, 3.0
OF_ENTROPY = 0.85
SMALL = 0.5
"""Whoever is right so often loses least with a spread of ln 3 and more between his logits."""
GROWING = 1.05
"""A quarter over the one before it: a model that is young, and makes its logits larger with each step."""


class LogitsTooSmall(ProgramDiagnostician):
    """Reads the last quarter of the calls of a cross-entropy in training.

    Healthy: a model that is mostly right has logits that say so, or is on its way there.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Mostly right, a loss near that of knowing nothing, and a spread that grows no more."""
        for site in training_sites(facts):
            if _bounded(site):
                scores, classes = site["scores"], count(site, "classes")
                return self.finding(
                    f"the largest of {classes:.0f} logits is the right one in {count(scores, 'right'):.0%} of"
                    f" the cases, and yet the loss stays at {count(scores, 'loss'):.4g}"
                    f"{at(site.get('where'))}, with {math.log(classes):.4g} for no knowledge at all: the"
                    f" logits of a row differ by {count(scores, 'spread'):.2g} at most, and no longer grow",
                    "Are similarities multiplied by a temperature instead of divided by it, or a scale"
                    " missing behind normalized vectors, or logits squeezed by a tanh or sigmoid?",
                    0.8,
                )
        return None


def _bounded(site: Mapping[str, Any]) -> bool:
    scores, classes = site.get("scores"), count(site, "classes")
    if site.get("reduction") != "mean" or not 4 <= classes < math.inf or count(site, "calls") < LEAST_CALLS:
        return False
    return (
        count(scores, "right") >= max(RIGHT, TIMES_CHANCE / classes)
        and OF_ENTROPY * math.log(classes) <= count(scores, "loss") < math.inf
        and 1e-6 < count(scores, "spread") <= SMALL
        and 0 < count(scores, "grew") <= GROWING
    )

"""Steps take longer and longer."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import finite, middle, theil_sen
from harness.model import Diagnosis, Facts, Float64
from harness.units import show

BLOCKS = 24
"""Medians of so many stretches of the training are compared: a single slow step is no trend."""
LONGER = 1.4
"""Time of the last quarter of the steps over that of the first."""


class StepsSlowDown(Diagnostician):
    """The time of a step rises: by its robust slope, and from the first to the last quarter."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Sure only if nearly every stretch is slower than the ones before: a busy machine scatters."""
        measured = facts.measurements.get("step_time")
        seconds = finite(measured.samples) if measured else np.zeros(0)
        if len(seconds) < 8 or not (seconds > 0).all():
            return None
        at, parts = _stretches(seconds)
        quarters = [middle(part) for part in np.array_split(seconds, 4)]
        growth, rising = theil_sen(at, parts) / middle(seconds), _rising(parts)
        longer = quarters[-1] > LONGER * quarters[0] and growth * len(seconds) > LONGER - 1
        if not longer or not rising > 0.65:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"steps slow down: {show(quarters[0], 's')} a step at first,"
            f" {show(quarters[-1], 's')} at the end"
            f" ({show(growth, '%')} more a step)",
            remedy="Is a list, graph, log or cache that grows with the steps walked through in each?",
            weight=0.9 if rising > 0.85 else 0.45,
            step=0,
            evidence=(
                f"median of the quarters: {', '.join(show(each, 's') for each in quarters)}",
                f"{show(rising, '%')} of all pairs of stretches grow slower",
            ),
        )


def _stretches(seconds: Float64) -> tuple[Float64, Float64]:
    """Middle and median of each of up to `BLOCKS` stretches of the training."""
    number = min(BLOCKS, len(seconds))
    places = np.array([middle(part) for part in np.array_split(np.arange(len(seconds)), number)])
    return places, np.array([middle(part) for part in np.array_split(seconds, number)])


def _rising(parts: Float64) -> float:
    """Share of pairs, early and late, of which the late one is larger (Kendall, 1938)."""
    early, late = np.triu_indices(len(parts), k=1)
    return float((parts[late] > parts[early]).mean())

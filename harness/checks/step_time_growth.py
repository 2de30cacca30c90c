"""Steps do not take longer and longer."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, missing, skipped
from harness.model import Facts, Float64, Measurement, Verdict
from harness.units import Percent

FEWEST_STEPS = 8
NOISE = 1e-2
"""A share of the median step: what a busy machine does to the slope of a short training."""
MOST_POINTS = 400
"""Longer trainings are first reduced to that many medians: there are n^2 / 2 pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTimeGrowth(Check):
    """`step_time_growth: {at_most: 1%}` a step, of the median: the robust slope over the steady steps."""

    at_most: Percent

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict; too few steps give no slope."""
        measured = facts.measurements.get("step_time")
        if facts.trace is None or facts.trace.steps == 0 or measured is None:
            return [missing(self.name, "measurement 'step_time'")]
        if len(measured.samples) < FEWEST_STEPS:
            why = f"{len(measured.samples)} steady steps are too few for a slope, need {FEWEST_STEPS}"
            return [skipped(self.name, why)]
        about = "of the median step time more at every step"
        return [bounded(self.name, _growth(measured), None, self.at_most, unit="%", about=about)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The growth of a step."""
        measured = facts.measurements.get("step_time")
        if measured is None or len(measured.samples) < FEWEST_STEPS:
            return {}
        return bounds_read(_growth(measured), None, self.at_most, unit="%", kind="time", noise=NOISE)


def _growth(measured: Measurement) -> float:
    climb = slope(np.asarray(measured.samples, dtype=np.float64))
    return climb / measured.value if measured.value else math.nan


def slope(values: Float64) -> float:
    """Theil-Sen slope, the median over all pairs (Sen, 1968): few slow steps do not move it. values (T,)."""
    parts = np.array_split(np.arange(len(values)), min(len(values), MOST_POINTS))
    times = np.array([np.median(values[part]) for part in parts])
    places = np.array([np.mean(part) for part in parts])
    first, second = np.triu_indices(len(parts), k=1)
    return float(np.median((times[second] - times[first]) / (places[second] - places[first])))

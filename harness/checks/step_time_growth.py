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
STEADY = 0.85
"""The share of all pairs of stretches of which the later must be the slower: machines have busy moments."""
STRETCHES = 24
NOISE = 0.25
"""A share of the median step: what a busy machine does to a short training."""
MOST_POINTS = 400
"""Longer trainings are first reduced to that many medians: there are n^2 / 2 pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTimeGrowth(Check):
    """`step_time_growth: {at_most: 50%}`: from the first steady step to the last, of the median step.

    By the robust slope. A climb that is not steady counts as none: of 24 stretches, 85 % of all pairs
    must agree that the later one is slower.
    """

    at_most: Percent

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict; too few steps give no slope."""
        measured = facts.measurements.get("step_time")
        if facts.trace is None or facts.trace.steps == 0 or measured is None:
            return [missing(self.name, "measurement 'step_time'")]
        if len(measured.samples) < FEWEST_STEPS:
            why = f"{len(measured.samples)} steady steps are too few for a slope, need {FEWEST_STEPS}"
            return [skipped(self.name, why)]
        about = "of the median step more at the end than at the start"
        return [bounded(self.name, _growth(measured), None, self.at_most, unit="%", about=about)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The growth from the first step to the last."""
        measured = facts.measurements.get("step_time")
        if measured is None or len(measured.samples) < FEWEST_STEPS:
            return {}
        return bounds_read(_growth(measured), None, self.at_most, unit="%", kind="time", noise=NOISE)


def _growth(measured: Measurement) -> float:
    """The steady climb over the whole training, as a share of the median step; NaN where a time is."""
    times = np.asarray(measured.samples, dtype=np.float64)
    if not (np.isfinite(times).all() and measured.value):
        return math.nan
    climb = slope(times) * (len(times) - 1) / measured.value
    return climb if rising(times) >= STEADY else min(climb, 0.0)


def rising(values: Float64) -> float:
    """Share of pairs of stretches of which the later has the larger median (Kendall, 1938). values (T,)."""
    middles = [np.median(part) for part in np.array_split(values, min(STRETCHES, len(values)))]
    first, second = np.triu_indices(len(middles), k=1)
    return float(np.mean(np.array(middles)[second] > np.array(middles)[first]))


def slope(values: Float64) -> float:
    """Theil-Sen slope, the median over all pairs (Sen, 1968): few slow steps do not move it. values (T,)."""
    parts = np.array_split(np.arange(len(values)), min(len(values), MOST_POINTS))
    times = np.array([np.median(values[part]) for part in parts])
    places = np.array([np.mean(part) for part in parts])
    first, second = np.triu_indices(len(parts), k=1)
    return float(np.median((times[second] - times[first]) / (places[second] - places[first])))

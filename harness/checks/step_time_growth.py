"""Steps do not take longer and longer."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, missing, skipped
from harness.model import Facts, Measurement, Verdict
from harness.units import Percent

FEWEST_STEPS = 8
QUARTERS = 4
NOISE = 0.25
"""A share of the median step: what a busy machine does to a short training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTimeGrowth(Check):
    """`step_time_growth: {at_most: 50%}`: from the first steady step to the last, of the median step.

    The training is divided into quarters, and the smallest rise from one to the next, times three, counts: a
    machine that becomes busy at some time slows down one quarter or two, a list that is never emptied all.
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
    middles = [np.median(quarter) for quarter in np.array_split(times, QUARTERS)]
    return float((QUARTERS - 1) * np.min(np.diff(middles)) / measured.value)

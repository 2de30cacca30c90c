"""Resident memory does not climb from step to step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, missing, skipped
from harness.model import Facts, Float64, Trace, Verdict
from harness.units import Bytes

FEWEST_STEPS = 8
PAGE = 4096.0
"""Bytes: resident memory grows by whole pages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryGrowth(Check):
    """`memory_growth: {at_most: 4 KiB}` a step: how far the floor under what is resident rises."""

    at_most: Bytes

    @property
    def columns(self) -> tuple[str, ...]:
        """What it reads."""
        return ("memory",)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict; too few steps give no slope."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "resident memory by step")]
        if facts.trace.steps < FEWEST_STEPS:
            why = f"{facts.trace.steps} steps are too few for a slope, need {FEWEST_STEPS}"
            return [skipped(self.name, why)]
        growth = _growth(facts.trace)
        return [bounded(self.name, growth, None, self.at_most, unit="B", about="more at every step")]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The growth of a step."""
        if facts.trace is None or facts.trace.steps < FEWEST_STEPS:
            return {}
        growth = _growth(facts.trace)
        return bounds_read(growth, None, self.at_most, unit="B", kind="memory", noise=PAGE)


def _growth(trace: Trace) -> float:
    return climb(trace.memory)


def climb(values: Float64) -> float:
    """How far the floor rises a step, from third to third of all but the first third; the less of the two.

    values (T,). What is taken and given back leaves the floor where it was, one late allocation raises it
    once, and only a leak raises it from third to third.
    """
    thirds = np.array_split(values[len(values) // 3 :], 3)
    floors = [float(part.min()) for part in thirds]
    steps = [(len(one) + len(other)) / 2 for one, other in pairwise(thirds)]
    return float(np.min(np.diff(floors) / steps))

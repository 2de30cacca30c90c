"""Resident memory does not climb from step to step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
    """`memory_growth: {at_most: 4 KiB}` a step: the robust slope over the second half of training."""

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
    return slope(trace.memory[trace.steps // 2 :])


def slope(values: Float64) -> float:
    """Theil-Sen slope: the median over all pairs of steps. values (T,).

    The largest jump is first replaced by the median step: one late allocation is no leak, and more than half
    of all pairs may span it.
    """
    increases = np.diff(values)
    increases[np.argmax(np.abs(increases))] = np.median(increases)
    values = np.concatenate([[0.0], np.cumsum(increases)])
    first, second = np.triu_indices(len(values), k=1)
    return float(np.median((values[second] - values[first]) / (second - first)))

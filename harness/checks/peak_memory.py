"""Peak memory of a run above the baseline after imports."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.checks import Check, Keys, Reading
from harness.checks._common import measured, measurement_read, missing, need_a_bound, ordered
from harness.model import Facts, Verdict
from harness.units import Bytes

PHASES = ("build", "train", "evaluate")
NOISE = 4.0 * 2**20
"""Bytes: what allocators and libraries keep in reserve."""


PROGRAM = "peak_memory.program"


@dataclass(frozen=True, kw_only=True, slots=True)
class PeakMemory(Check):
    """`peak_memory: {at_most: 64 MiB}`, or at_least: the highest of build, train, evaluate, or one phase."""

    at_least: Bytes | None = None
    at_most: Bytes | None = None
    phase: Literal["build", "train", "evaluate"] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        names = self._names(facts)
        lacking = [name for name in names if name not in facts.measurements]
        if lacking:
            return [missing(self.name, f"measurement '{lacking[0]}'")]
        name = _highest(facts, names)
        about = f"in phase {name.partition('.')[2]}"
        return [measured(self.name, facts, name, self.at_least, self.at_most, about=about)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The highest peak."""
        names = self._names(facts)
        if not facts.measurements.keys() >= set(names):
            return {}
        name = _highest(facts, names)
        return measurement_read(facts, name, self.at_least, self.at_most, kind="memory", noise=NOISE)

    def _names(self, facts: Facts) -> list[str]:
        if self.phase is None and PROGRAM in facts.measurements:
            return [PROGRAM]  # seen from outside, all phases are one
        return [f"peak_memory.{phase}" for phase in ((self.phase,) if self.phase else PHASES)]


def _highest(facts: Facts, names: list[str]) -> str:
    """A NaN counts as the highest, so that it is what the bounds see."""
    return max(names, key=lambda name: _nan_first(facts.measurements[name].value))


def _nan_first(value: float) -> float:
    return math.inf if math.isnan(value) else value

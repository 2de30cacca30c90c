"""Median time of a training step in the steady state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.checks import Check, Keys, Reading
from harness.checks._common import SLICE, measured, measurement_read, need_a_bound, ordered
from harness.model import Facts, Verdict
from harness.units import Seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTime(Check):
    """`step_time: {at_most: 36 ms}`, or at_least: nobody observes these steps; the first one counts apart."""

    at_least: Seconds | None = None
    at_most: Seconds | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        return [measured(self.name, facts, "step_time", self.at_least, self.at_most, about="a step (median)")]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The median step."""
        return measurement_read(facts, "step_time", self.at_least, self.at_most, kind="time", noise=SLICE)

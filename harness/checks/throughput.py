"""Tokens, samples or steps trained in a second in the steady state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, missing, need_a_bound, ordered, spread
from harness.model import Facts, Measurement, ProblemFacts, Verdict
from harness.units import PerSecond, Rate

UNITS = ("token/s", "sample/s", "step/s")


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput(Check):
    """`throughput: {at_least: 1000 tokens/s}`, or at_most; in tokens, samples or steps a second.

    Tokens are the counted targets of a step; all are taken over the median step time.
    """

    at_least: Rate | None = None
    at_most: Rate | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        units = list(dict.fromkeys(_unit(bound) for bound in (self.at_least, self.at_most) if bound))
        if len(units) > 1:
            raise ValueError(f"at_least is in {units[0]} and at_most in {units[1]}; give both in one unit")
        if units and units[0] not in UNITS:
            raise ValueError(f"expected a rate in {', '.join(UNITS)}, got one in {units[0]}")
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict, in the unit of the bounds."""
        found, unit = facts.measurements.get("throughput"), _unit(self.at_least or self.at_most)
        if found is None or (facts.problem is None and unit != found.unit):
            return [missing(self.name, "measurement 'throughput'" if found is None else "the problem")]
        value = _in_unit(found, unit, facts.problem)
        about, hint = "trained", spread(found)
        return [bounded(self.name, value, self.at_least, self.at_most, unit=unit, about=about, hint=hint)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The throughput, in the unit of the bounds."""
        found, unit = facts.measurements.get("throughput"), _unit(self.at_least or self.at_most)
        if found is None or (facts.problem is None and unit != found.unit):
            return {}
        value = _in_unit(found, unit, facts.problem)
        return bounds_read(value, self.at_least, self.at_most, unit=unit, kind="time", worse="low")


def _unit(bound: float | None) -> str:
    return (bound.unit if isinstance(bound, PerSecond) else "") or UNITS[0]


def _in_unit(found: Measurement, unit: str, problem: ProblemFacts | None) -> float:
    """A throughput converted by what one step holds."""
    if problem is None or unit == found.unit:
        return found.value
    a_step: Mapping[str, float] = dict(
        zip(UNITS, (problem.tokens_per_step, problem.samples_per_step, 1), strict=True)
    )
    return found.value * a_step[unit] / a_step[found.unit]

"""How busy a training keeps the cores that its threads may use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, measurement_read, missing, need_a_bound, ordered
from harness.model import Facts, Verdict
from harness.units import Percent

MEASUREMENT = "cpu_use.per_thread"


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuUse(Check):
    """`cpu_use: {at_least: 50%, at_most: 120%}`: CPU time over the time of the steps and the threads' cores.

    Below at_least, threads wait for each other, or for something else; above at_most, there are more of them
    than the case asks for. On a machine that has other things to do, the share falls.
    """

    at_least: Percent | None = None
    at_most: Percent | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        found = facts.measurements.get(MEASUREMENT)
        if found is None:
            return [missing(self.name, f"measurement '{MEASUREMENT}'")]
        about = "of the cores that its threads may use"
        return [bounded(self.name, found.value, self.at_least, self.at_most, unit="%", about=about)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The share."""
        return measurement_read(facts, MEASUREMENT, self.at_least, self.at_most, kind="time", worse="low")

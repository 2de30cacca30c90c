"""Time until the backend is ready to train, after imports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.checks import Check, Keys, Reading
from harness.checks._common import SLICE, measured, measurement_read, need_a_bound, ordered
from harness.model import Facts, Verdict
from harness.units import Seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class StartupTime(Check):
    """`startup_time: {at_most: 2 s}`, or at_least: building the trainer and its weights, process fresh."""

    at_least: Seconds | None = None
    at_most: Seconds | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        about = "until ready to train"
        return [measured(self.name, facts, "startup_time", self.at_least, self.at_most, about=about)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The time of building."""
        return measurement_read(facts, "startup_time", self.at_least, self.at_most, kind="time", noise=SLICE)

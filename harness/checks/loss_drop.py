"""The loss falls by a share of its start: (start - end) / |start|, two-sided."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.checks import Check, Keys, Reading
from harness.checks._common import (
    bounded,
    bounds_read,
    missing,
    need_a_bound,
    ordered,
    stands_at,
    start_and_end,
)
from harness.model import Facts, Verdict
from harness.spec import Count
from harness.units import Percent


@dataclass(frozen=True, kw_only=True, slots=True)
class LossDrop(Check):
    """`loss_drop: {at_least: 3%, at_most: 60%}`. Too good is a symptom too.

    Start and end are medians of the first and last `window` steps (default max(1, min(5, steps // 10))).
    """

    at_least: Percent | None = None
    at_most: Percent | None = None
    window: Count | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the loss")]
        start, end = start_and_end(facts.trace, self.window)
        drop = _drop(start, end)
        about = f"over {facts.trace.steps} steps ({start:.4g} to {end:.4g})"
        hint = stands_at(facts, end)
        return [bounded(self.name, drop, self.at_least, self.at_most, unit="%", about=about, hint=hint)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The drop: of a healthy training above 0 %, and of a loss that stays above 0 below 100 %."""
        if facts.trace is None or facts.trace.steps == 0:
            return {}
        drop = _drop(*start_and_end(facts.trace, self.window))
        return bounds_read(drop, self.at_least, self.at_most, unit="%", least=0.0, most=1.0)


def _drop(start: float, end: float) -> float:
    return (start - end) / abs(start) if start else float("nan")

"""The loss at the end (median of the last steps) lies within bounds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

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
from harness.units import Finite


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalLoss(Check):
    """`final_loss: {at_least: 2.9, at_most: 3.2}` in the loss's own unit; window as in `loss_drop`."""

    at_least: Annotated[float, Finite()] | None = None
    at_most: Annotated[float, Finite()] | None = None
    window: Count | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the loss")]
        end = start_and_end(facts.trace, self.window)[1]
        about = f"after {facts.trace.steps} steps"
        return [bounded(self.name, end, self.at_least, self.at_most, about=about, hint=stands_at(facts, end))]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The loss at the end."""
        if facts.trace is None or facts.trace.steps == 0:
            return {}
        end = start_and_end(facts.trace, self.window)[1]
        return bounds_read(end, self.at_least, self.at_most, least=0.0)

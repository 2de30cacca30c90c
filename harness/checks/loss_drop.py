"""The loss falls by a share of its start: (start - end) / |start|, two-sided."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

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
from harness.model import Facts, Float64, Status, Verdict
from harness.spec import Count
from harness.units import Percent, show


@dataclass(frozen=True, kw_only=True, slots=True)
class LossDrop(Check):
    """`loss_drop: {at_least: 3%, at_most: 60%}`. Too good is a symptom too.

    Start and end are medians of the first and last `window` steps (default max(1, min(5, steps // 10))).
    every_step: each loss lies below the one before it, too; for a few large steps.
    """

    at_least: Percent | None = None
    at_most: Percent | None = None
    window: Count | None = None
    every_step: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict, and one of the steps if every one of them counts."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the loss")]
        start, end = start_and_end(facts.trace, self.window)
        drop = _drop(start, end)
        about = f"over {facts.trace.steps} steps ({start:.4g} to {end:.4g})"
        hint = stands_at(facts, end)
        verdict = bounded(self.name, drop, self.at_least, self.at_most, unit="%", about=about, hint=hint)
        return [verdict, self._each(facts.trace.loss)] if self.every_step else [verdict]

    def _each(self, loss: Float64) -> Verdict:
        risen = np.flatnonzero(~(loss[1:] < loss[:-1]))
        if not risen.size:
            message = f"the loss falls at each of {len(loss)} steps"
            return Verdict(check=self.name, status=Status.PASS, message=message)
        step = int(risen[0]) + 1
        before, observed = float(loss[step - 1]), float(loss[step])
        about = f"{show(observed, '')} at step {step}, after {show(before, '')}"
        return Verdict(
            check=self.name, status=Status.FAIL, observed=observed, reason="out_of_bounds", step=step,
            message=f"{about}, expected a loss that falls at each step",
        )  # fmt: skip

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The drop: of a healthy training above 0 %, and of a loss that stays above 0 below 100 %."""
        if facts.trace is None or facts.trace.steps == 0:
            return {}
        drop = _drop(*start_and_end(facts.trace, self.window))
        return bounds_read(drop, self.at_least, self.at_most, unit="%", least=0.0, most=1.0)


def _drop(start: float, end: float) -> float:
    return (start - end) / abs(start) if start else float("nan")

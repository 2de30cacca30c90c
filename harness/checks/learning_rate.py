"""The learning rate that was used is the one that the schedule gives, step by step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, missing, need_a_bound, range_read
from harness.model import Facts, Float64, Status, Verdict
from harness.units import Positive, Range, show


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningRate(Check):
    """`learning_rate: {follows: schedule, peak: [1e-3, 1e-3], last: [0, 1e-5]}`.

    follows: equal to the configured schedule within `tolerance`, relative to the schedule's peak.
    peak, last: range of the largest and of the last value.
    """

    follows: Literal["schedule"] | None = None
    tolerance: Positive = 1e-6
    peak: Range | None = None
    last: Range | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_a_bound(follows=self.follows, peak=self.peak, last=self.last)

    @property
    def columns(self) -> tuple[str, ...]:
        """What it reads."""
        return ("learning_rate",)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for each parameter that is given."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the learning rate")]
        used = facts.trace.learning_rate
        verdicts = [self._follows(facts, used)] if self.follows else []
        if self.peak is not None:
            verdicts.append(bounded(self.name, float(used.max()), *self.peak, about="at the peak"))
        if self.last is not None:
            verdicts.append(bounded(self.name, float(used[-1]), *self.last, about="at the last step"))
        return verdicts

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The peak and the last value."""
        if facts.trace is None or facts.trace.steps == 0:
            return {}
        used = facts.trace.learning_rate
        peak, last = used[[used.argmax()]], used[-1:]
        return {
            **range_read(("peak",), peak, self.peak, least=0.0),
            **range_read(("last",), last, self.last, least=0.0),
        }

    def _follows(self, facts: Facts, used: Float64) -> Verdict:
        planned = np.asarray(facts.problem.learning_rates if facts.problem else ())
        if len(planned) < len(used):
            return missing(self.name, "the schedule")
        planned = planned[: len(used)]
        bad = ~(np.abs(used - planned) <= self.tolerance * max(planned.max(), 1e-300))
        if not bad.any():
            message = f"follows the schedule for {len(used)} steps"
            return Verdict(check=self.name, status=Status.PASS, message=message)
        step = int(np.argmax(bad))
        message = f"{show(used[step], '')} at step {step}, expected {show(planned[step], '')} by the schedule"
        return Verdict(
            check=self.name,
            status=Status.FAIL,
            observed=float(used[step]),
            expected=show(planned[step], ""),
            step=step,
            reason="out_of_bounds" if np.isfinite(used[step]) else "nonfinite",
            message=message,
        )

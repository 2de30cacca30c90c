"""The norm of all gradients together, before clipping, lies within bounds and never jumps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, first_outside, missing, need_a_bound, ordered
from harness.model import Facts, Float64, Trace, Verdict
from harness.units import NonNegative, Positive

AROUND = 5
"""Steps on either side that a step is compared with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientTotal(Check):
    """`gradient_total: {at_least: 0.1, at_most: 10, spike: 5}`; one of them will do.

    spike: how many times longer than the median of the steps around it a step's gradient may be.
    """

    at_least: NonNegative | None = None
    at_most: NonNegative | None = None
    spike: Positive | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most, spike=self.spike)
        ordered(self.at_least, self.at_most)

    @property
    def columns(self) -> tuple[str, ...]:
        """What it reads."""
        return ("gradient_norm",)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict on the length: of the first bad step, or of the longest gradient; one on spikes."""
        if facts.trace is None or facts.trace.steps == 0:
            yield missing(self.name, "the gradients")
            return
        total = _total(facts.trace)
        if (self.at_least, self.at_most) != (None, None):
            yield self._length(total)
        if self.spike is not None:
            yield self._spike(total, self.spike)

    def _length(self, total: Float64) -> Verdict:
        outside = first_outside(total[:, None], self.at_least, self.at_most)
        step = int(np.argmax(total)) if outside is None else outside[0]
        about = f"is the norm of all gradients at step {step}"
        return bounded(self.name, float(total[step]), self.at_least, self.at_most, about=about, step=step)

    def _spike(self, total: Float64, allowed: float) -> Verdict:
        times = _times_its_neighbours(total)
        step = int(np.argmax(np.where(np.isnan(times), np.inf, times)))
        about = f"times the steps around it is the norm of all gradients at step {step}"
        return bounded(self.name, float(times[step]), None, allowed, about=about, step=step)

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The shortest and the longest gradient of all steps, and the tallest spike."""
        if facts.trace is None or facts.trace.steps == 0:
            return {}
        total = _total(facts.trace)
        shortest, longest = float(total.min()), float(total.max())
        found = dict(bounds_read(shortest, self.at_least, self.at_most, largest=longest, least=0.0))
        if self.spike is not None:
            tallest = float(_times_its_neighbours(total).max())
            found["spike",] = Reading(value=tallest, high=self.spike, least=0.0)
        return found


def _times_its_neighbours(total: Float64) -> Float64:
    """Each step over the median of up to `AROUND` steps on either side; 1 where there is none."""
    middles = np.array([_middle_around(total, step) for step in range(len(total))])
    with np.errstate(divide="ignore", invalid="ignore"):
        times: Float64 = np.where(total == middles, 1.0, total / middles)
    return times


def _middle_around(total: Float64, step: int) -> float:
    around = np.concatenate([total[max(0, step - AROUND) : step], total[step + 1 : step + 1 + AROUND]])
    known = around[np.isfinite(around)]
    return float(np.median(known) if known.size else total[step])


def _total(trace: Trace) -> Float64:
    total: Float64 = np.sqrt(np.square(trace.gradient_norm).sum(axis=1))
    return total

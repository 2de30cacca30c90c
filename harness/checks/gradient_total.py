"""The norm of all gradients together, before clipping, within bounds at every step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, first_outside, missing, need_a_bound, ordered
from harness.model import Facts, Float64, Trace, Verdict
from harness.units import NonNegative


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientTotal(Check):
    """`gradient_total: {at_least: 0.1, at_most: 10}`; one of the two will do."""

    at_least: NonNegative | None = None
    at_most: NonNegative | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict: of the first bad step, or of the longest gradient."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the gradients")]
        total = _total(facts.trace)
        outside = first_outside(total[:, None], self.at_least, self.at_most)
        step = int(np.argmax(total)) if outside is None else outside[0]
        about = f"is the norm of all gradients at step {step}"
        return [bounded(self.name, float(total[step]), self.at_least, self.at_most, about=about, step=step)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The shortest and the longest gradient of all steps."""
        if facts.trace is None or facts.trace.steps == 0:
            return {}
        total = _total(facts.trace)
        shortest, longest = float(total.min()), float(total.max())
        return bounds_read(shortest, self.at_least, self.at_most, largest=longest, least=0.0)


def _total(trace: Trace) -> Float64:
    total: Float64 = np.sqrt(np.square(trace.gradient_norm).sum(axis=1))
    return total

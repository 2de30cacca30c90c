"""Logits and loss do not depend on the order of the samples in a batch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from harness.checks import Check
from harness.checks._common import unanswered
from harness.checks._held import held, need_true
from harness.model import Facts, Verdict
from harness.units import show

LOGITS = 1e-4
"""Standard deviations of the logits. Healthy models: exactly 0 in float32 and float64."""
LOSS = 1e-5
"""Relative. Healthy models: up to 2e-7 in float32, for sums are taken in another order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderInvariant(Check):
    """`order_invariant: true`: asked by moving every sample one place on."""

    entire: ClassVar[str] = "required"
    probes: ClassVar[tuple[str, ...]] = ("isolation",)

    required: bool

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_true(self.required)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict each for the logits and the loss."""
        lacking = unanswered(self.name, facts, "isolation", "the effect of the order of samples")
        if lacking is not None:
            return [lacking]
        found = facts.answers["isolation"].facts
        logits, loss = found["permuted_logits"], found["permuted_loss"]
        when = "when the batch is permuted"
        return [
            self._verdict(logits, LOGITS, f"logits change by {show(logits, '')} standard deviations {when}"),
            self._verdict(loss, LOSS, f"the loss changes by {show(loss, '%')} {when}"),
        ]

    def _verdict(self, change: float, allowed: float, message: str) -> Verdict:
        return held(
            self.name,
            change,
            good=change <= allowed,
            expected="no change",
            message=message,
            means="results depend on a sample's place in its batch",
        )

"""No token changes the logits of an earlier position."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.checks import Check
from harness.checks._common import unanswered
from harness.checks._held import held, need_true
from harness.model import Facts, Verdict
from harness.units import show

ALLOWED = 1e-4
"""Standard deviations of the logits. Healthy models: exactly 0 in float32 and float64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Causal(Check):
    """`causal: true`: asked by changing one token at several positions, at weights whose logits are O(1)."""

    entire: ClassVar[str] = "required"
    probes: ClassVar[tuple[str, ...]] = ("influence",)

    required: bool

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_true(self.required)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        lacking = unanswered(self.name, facts, "influence", "the influence of tokens on logits")
        if lacking is not None:
            return [lacking]
        found = facts.answers["influence"].facts
        future = found["future"]
        good = future <= ALLOWED
        verdict = held(
            self.name,
            future,
            good=good,
            expected="no change",
            message=_sentence(future, None if good else found["first_leak"]),
            means="the future leaks",
        )
        return [verdict]


def _sentence(future: float, leak: Mapping[str, Any] | None) -> str:
    if leak is None:
        return f"logits change by {show(future, '')} standard deviations at most when a later token changes"
    change = show(leak["change"], "")
    where = f"logits at position {leak['position']}"
    return f"{where} change by {change} standard deviations when token {leak['changed']} changes"

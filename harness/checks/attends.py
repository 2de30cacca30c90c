"""A token changes the logits of later positions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from harness.checks import Check
from harness.checks._common import unanswered
from harness.checks._held import held, need_true
from harness.model import Facts, Verdict
from harness.units import show

WANTED = 1e-3
"""Standard deviations of the logits. Healthy models: 0.1 to 1; without attention exactly 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attends(Check):
    """`attends: true`: asked by changing one token at several positions, at weights whose logits are O(1)."""

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
        past = facts.answers["influence"].facts["past"]
        change = f"logits change by {show(past, '')} standard deviations"
        verdict = held(
            self.name,
            past,
            good=past >= WANTED,
            expected=f">= {show(WANTED, '')}",
            message=f"{change} at most when an earlier token changes",
            means="attention mixes nothing",
        )
        return [verdict]

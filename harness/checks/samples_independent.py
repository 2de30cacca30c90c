"""A sample's logits do not depend on the other samples of its batch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from harness.checks import Check
from harness.checks._common import unanswered
from harness.checks._held import held, need_true
from harness.model import Facts, Verdict
from harness.units import show

ALLOWED = 1e-4
"""Standard deviations of the logits. Healthy models: exactly 0 in float32 and float64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplesIndependent(Check):
    """`samples_independent: true`: asked by replacing the first sample, then all others."""

    entire: ClassVar[str] = "required"
    probes: ClassVar[tuple[str, ...]] = ("isolation",)

    required: bool

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_true(self.required)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        lacking = unanswered(self.name, facts, "isolation", "the influence of samples on each other")
        if lacking is not None:
            return [lacking]
        change = facts.answers["isolation"].facts["other_sample"]
        what = f"logits of a sample change by {show(change, '')} standard deviations"
        verdict = held(
            self.name,
            change,
            good=change <= ALLOWED,
            expected="no change",
            message=f"{what} when others of its batch are replaced",
            means="samples leak into each other",
        )
        return [verdict]

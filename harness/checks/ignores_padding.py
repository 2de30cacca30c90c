"""What lies behind the end of a sample counts nowhere: no target, not in the loss, not in the gradient."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.checks import Check
from harness.checks._common import unanswered
from harness.checks._held import held, need_true
from harness.model import Facts, Verdict
from harness.units import show

ALLOWED = 1e-5
"""Relative. Healthy models: at most 2e-17, exactly 0 for most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IgnoresPadding(Check):
    """`ignores_padding: true`: asked by changing the inputs there, and by counting targets."""

    entire: ClassVar[str] = "required"
    probes: ClassVar[tuple[str, ...]] = ("padding",)

    required: bool

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_true(self.required)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict each for the targets, the loss and the gradient."""
        lacking = unanswered(self.name, facts, "padding", "the effect of padding")
        if lacking is not None:
            return [lacking]
        found = facts.answers["padding"].facts
        return [
            self._targets(found),
            self._change(found["loss_change"], "loss"),
            self._change(found["gradient_change"], "gradient"),
        ]

    def _targets(self, found: Mapping[str, Any]) -> Verdict:
        counted, expected = found["counted"], found["expected"]
        return held(
            self.name,
            counted,
            good=counted == expected,
            expected=f"{expected:,}",
            message=f"{counted:,} targets count",
            means="padding is trained on",
        )

    def _change(self, change: float, what: str) -> Verdict:
        return held(
            self.name,
            change,
            good=change <= ALLOWED,
            expected="no change",
            message=f"the {what} changes by {show(change, '%')} when only padding changes",
            means="padding has a say",
            unit="%",
        )

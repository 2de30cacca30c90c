"""Each target is the input that it should be: for a language model the next one."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness.checks import Check
from harness.checks._common import missing, unanswered
from harness.checks._held import held
from harness.model import Facts, Verdict
from harness.units import show

AGREES = 0.99
"""Share of the targets. Where positions behind a sample's end are left out, healthy data agree throughout."""
SHIFTS = range(-2, 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels(Check):
    """`labels: {shift: 1}`: targets are the inputs that many positions later, -2 to 3.

    Held are the data, and what the training's own loss does with them: it must not shift them again.
    """

    probes: ClassVar[tuple[str, ...]] = ("alignment",)

    shift: int

    def __post_init__(self) -> None:
        """Refuse what is not looked at."""
        if self.shift not in SHIFTS:
            raise ValueError(f"expected a shift from {SHIFTS[0]} to {SHIFTS[-1]}, got {self.shift}")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for the data, and one for the loss where it is known."""
        lacking = unanswered(self.name, facts, "alignment", "the alignment of targets")
        if lacking is not None:
            return [lacking]
        found = facts.answers["alignment"].facts
        if found["best"] is None:
            return [missing(self.name, "a pair of a target and an input")]
        verdicts = [self._data(found["agreement"], found["best"])]
        if found["loss_shift"] is not None:
            verdicts.append(self._loss(found["loss_shift"]))
        return verdicts

    def _data(self, agreement: Mapping[str, float], best: int) -> Verdict:
        share = agreement[str(self.shift)]
        good = share >= AGREES
        message = f"{show(share, '%')} of the targets are {_place(self.shift)}"
        if not good and best != self.shift and not math.isnan(share):
            message += f", {show(agreement[str(best)], '%')} are {_place(best)}"
        return held(
            self.name,
            share,
            good=good,
            expected=f">= {show(AGREES, '%')} at shift {self.shift}",
            message=message,
            means="targets and inputs are misaligned",
            unit="%",
        )

    def _loss(self, shift: int) -> Verdict:
        return held(
            self.name,
            shift,
            good=shift == 0,
            expected="0",
            message=f"the loss shifts targets by {shift}",
            means="they are shifted once too often or too little",
        )


def _place(shift: int) -> str:
    """What a target is, in words: the input 1 later."""
    if shift == 0:
        return "the input itself"
    return f"the input {abs(shift)} {'later' if shift > 0 else 'earlier'}"

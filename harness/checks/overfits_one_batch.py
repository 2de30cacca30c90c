"""The training can learn a single batch by heart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import ClassVar

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, unanswered
from harness.model import Facts, Verdict
from harness.units import Percent


@dataclass(frozen=True, kw_only=True, slots=True)
class OverfitsOneBatch(Check):
    """`overfits_one_batch: {drop: 50%}`.

    drop: by how much of its value, at least, the loss falls on the first batch, given again and again at
    the full learning rate.
    """

    probes: ClassVar[tuple[str, ...]] = ("overfit",)

    drop: Percent

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        if not 0 < self.drop < 1:
            raise ValueError(f"expected drop above 0% and below 100%, got {100 * self.drop:.4g}%")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        lacking = unanswered(self.name, facts, "overfit", "a training on one batch")
        if lacking:
            return [lacking]
        found = facts.answers["overfit"].facts
        start, end, steps = float(found["start"]), float(found["end"]), found["steps"]
        about = f"off the loss of one batch, again and again for {steps} steps ({start:.4g} to {end:.4g})"
        hint = (
            "what cannot be learned by heart is not learned at all: gradients, updates or targets are wrong"
        )
        drop = float(found["drop"]) if isfinite(start) and isfinite(end) else nan
        return [bounded(self.name, drop, self.drop, None, unit="%", about=about, hint=hint)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The drop on one batch."""
        if unanswered(self.name, facts, "overfit", "") is not None:
            return {}
        drop = float(facts.answers["overfit"].facts["drop"])
        return {("drop",): Reading(value=drop, low=self.drop, unit="%", least=0.0, most=1.0)}

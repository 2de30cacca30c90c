"""The score that evaluation reports comes from the weights, and is good enough."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, ClassVar

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, need_a_bound, unanswered
from harness.model import Facts, Verdict
from harness.units import Percent

FALL = 0.2
"""The share of its value by which a score falls, at least, when the weights are put in random order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score(Check):
    """`score: {falls_when_randomised: true, at_least: 20%}`.

    falls_when_randomised: with each tensor's numbers in random order, the score loses at least a fifth of
    its value; a table of the answers would not notice. at_least, at_most: share of right answers with the
    trained weights.
    """

    probes: ClassVar[tuple[str, ...]] = ("score",)

    falls_when_randomised: bool | None = None
    at_least: Percent | None = None
    at_most: Percent | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(
            falls_when_randomised=self.falls_when_randomised or None,
            at_least=self.at_least,
            at_most=self.at_most,
        )
        if self.falls_when_randomised is False:
            raise ValueError(
                "nothing can be expected of a score that may stay; leave falls_when_randomised out"
            )
        for name, bound in (("at_least", self.at_least), ("at_most", self.at_most)):
            if bound is not None and not 0 <= bound <= 1:
                raise ValueError(f"expected {name} of 0% to 100%, got {100 * bound:.4g}%")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"at_least ({100 * self.at_least:.4g}%) lies above at_most ({100 * self.at_most:.4g}%)"
            )

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict on the score, one on its fall, as far as they are asked for."""
        lacking = unanswered(self.name, facts, "score", "the score")
        if lacking:
            return [lacking]
        found = facts.answers["score"].facts
        verdicts = [self._falls(found)] if self.falls_when_randomised else []
        if self.at_least is None and self.at_most is None:
            return verdicts
        about = f"of the answers are right (the commonest one: {100 * found['chance']:.4g} %)"
        value = float(found["trained"]) if isfinite(found["chance"]) else nan
        return [bounded(self.name, value, self.at_least, self.at_most, unit="%", about=about), *verdicts]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The share of right answers."""
        if unanswered(self.name, facts, "score", "") is not None:
            return {}
        value = float(facts.answers["score"].facts["trained"])
        return bounds_read(value, self.at_least, self.at_most, unit="%", least=0.0, most=1.0)

    def _falls(self, found: Mapping[str, Any]) -> Verdict:
        trained, randomised = float(found["trained"]), float(found["randomised"])
        fall = (trained - randomised) / trained if trained else 0.0
        about = f"less with weights in random order ({100 * trained:.4g} % to {100 * randomised:.4g} % right)"
        hint = "the score does not come from the trained weights"
        return bounded(self.name, fall, FALL, None, unit="%", about=about, hint=hint)

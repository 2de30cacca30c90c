"""The loss before the first update lies where an untrained model's must."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, missing, need_a_bound, ordered, uniform_name
from harness.model import Facts, Verdict
from harness.units import Finite, Percent


@dataclass(frozen=True, kw_only=True, slots=True)
class InitialLoss(Check):
    """`initial_loss: {uniform: 5%}`: within 5 % of ln V; or `at_least` / `at_most` in the loss's own unit."""

    uniform: Percent | None = None
    at_least: Annotated[float, Finite()] | None = None
    at_most: Annotated[float, Finite()] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(uniform=self.uniform, at_least=self.at_least, at_most=self.at_most)
        if self.uniform is not None and self.uniform < 0:
            raise ValueError(f"expected uniform of at least 0%, got {100 * self.uniform:.4g}%")
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for the anchor, one for the bounds, as far as they are given."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the loss")]
        loss = float(facts.trace.loss[0])
        verdicts = [] if self.uniform is None else [self._near_uniform(facts, loss, self.uniform)]
        if self.at_least is not None or self.at_most is not None:
            verdicts.append(bounded(self.name, loss, self.at_least, self.at_most, step=0))
        return verdicts

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The first loss; for `uniform` its ratio to ln V, which lies as far from 1 as the file says."""
        if facts.trace is None or facts.trace.steps == 0:
            return {}
        loss = float(facts.trace.loss[0])
        anchor = facts.problem.anchors.uniform if facts.problem else None
        found = dict(bounds_read(loss, self.at_least, self.at_most, least=0.0))
        if self.uniform is not None and anchor:
            low, high = 1 - self.uniform, 1 + self.uniform
            found["uniform",] = Reading(value=loss / anchor, low=low, high=high, unit="%", centre=1.0)
        return found

    def _near_uniform(self, facts: Facts, loss: float, share: float) -> Verdict:
        anchor = facts.problem.anchors.uniform if facts.problem else None
        if anchor is None or facts.problem is None:
            return missing(self.name, "the uniform anchor ln V of this problem")
        about = f"before the first update ({uniform_name(facts.problem)} = {anchor:.6g})"
        return bounded(self.name, loss, anchor * (1 - share), anchor * (1 + share), about=about, step=0)

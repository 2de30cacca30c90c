"""The loss at given steps lies between a floor and a ceiling."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from harness.checks import Check, Keys, Reading
from harness.checks._common import Bound, bounded, bounds_read, missing, need_a_bound, ordered
from harness.model import Facts, Verdict
from harness.units import Finite

Step = Annotated[int, Ge(0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Between:
    """A floor, a ceiling, or both."""

    at_least: Annotated[float, Finite()] | None = None
    at_most: Annotated[float, Finite()] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossAt(Check):
    """`loss_at: {0: {at_least: 3.2, at_most: 3.4}, 27: {at_most: 3.25}}`; steps count from 0."""

    entire: ClassVar[str] = "steps"

    steps: Mapping[Step, Between]

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        if not self.steps:
            raise ValueError("give at least one step")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict a step."""
        return [self._at(facts, step, bound.at_least, bound.at_most) for step, bound in self.steps.items()]

    def _at(self, facts: Facts, step: int, low: Bound, high: Bound) -> Verdict:
        if facts.trace is None or step >= facts.trace.steps:
            return missing(self.name, f"step {step}")
        loss = float(facts.trace.loss[step])
        return bounded(self.name, loss, low, high, about=f"at step {step}", step=step)

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The loss at each step."""
        loss = () if facts.trace is None else facts.trace.loss
        return {
            (str(step), *keys): reading
            for step, bound in self.steps.items()
            if step < len(loss)
            for keys, reading in bounds_read(
                float(loss[step]), bound.at_least, bound.at_most, least=0.0
            ).items()
        }

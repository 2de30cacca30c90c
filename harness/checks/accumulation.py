"""The gradient of a batch is that of its samples, each weighted by the targets that it counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness.checks import Check, Keys, Reading
from harness.checks._common import unanswered
from harness.checks._held import held
from harness.model import Facts, Verdict
from harness.units import Positive, show


@dataclass(frozen=True, kw_only=True, slots=True)
class Accumulation(Check):
    """`accumulation: 1e-4`, the largest relative L2 distance, of all tensors together and of any.

    Asked of a batch that goes through all its micro-batches, with samples that count unlike many targets.
    """

    entire: ClassVar[str] = "at_most"
    probes: ClassVar[tuple[str, ...]] = ("accumulation",)

    at_most: Positive

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for all tensors together, one for the worst."""
        lacking = unanswered(self.name, facts, "accumulation", "the gradients of single samples")
        if lacking is not None:
            return [lacking]
        found = facts.answers["accumulation"].facts
        return [self._total(found["error"], found["ratio"]), self._worst(found["tensor_errors"])]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The largest distance, of all tensors together, of their length, or of any tensor."""
        if unanswered(self.name, facts, "accumulation", "") is not None:
            return {}
        found = facts.answers["accumulation"].facts
        worst = max(found["error"], abs(found["ratio"] - 1), *found["tensor_errors"].values())
        return {(): Reading(value=float(worst), high=self.at_most, kind="tolerance")}

    def _total(self, error: float, ratio: float) -> Verdict:
        length = f"{show(ratio, '')} times the weighted sum of its samples' gradients"
        message = f"a batch's gradient is {length}, relative distance {show(error, '')}"
        return self._verdict(error, message, good=error <= self.at_most and abs(ratio - 1) <= self.at_most)

    def _worst(self, errors: Mapping[str, float]) -> Verdict:
        tensor = max(errors, key=lambda name: (not errors[name] <= self.at_most, errors[name]))
        error = errors[tensor]
        message = f"a batch's gradient of {tensor} lies {show(error, '')} (relative) from its samples'"
        return self._verdict(error, message, good=error <= self.at_most, tensor=tensor)

    def _verdict(self, error: float, message: str, *, good: bool, tensor: str = "") -> Verdict:
        return held(
            self.name,
            error,
            good=good,
            expected=f"<= {show(self.at_most, '')}",
            message=message,
            means="micro-batches are not added up as one batch",
            tensor=tensor,
        )

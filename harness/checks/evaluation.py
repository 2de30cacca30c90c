"""Evaluating twice gives the same, and training goes on as if nobody had evaluated."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.checks import Check
from harness.checks._common import bounded, need_a_bound, unanswered
from harness.model import Facts, Status, Verdict

ROUNDING = 1e-6
"""Two evaluations of the same weights may differ by this much, in standard deviations of the logits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation(Check):
    """`evaluation: {repeatable: true, leaves_training_alone: true}`.

    repeatable: two evaluations of the same weights agree, in loss and logits. leaves_training_alone: an
    evaluation between steps changes neither the weights nor the mode, and later losses are those without
    it, bit for bit.
    """

    probes: ClassVar[tuple[str, ...]] = ("evaluation",)

    repeatable: bool | None = None
    leaves_training_alone: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_a_bound(
            repeatable=self.repeatable or None, leaves_training_alone=self.leaves_training_alone or None
        )
        if self.repeatable is False or self.leaves_training_alone is False:
            raise ValueError("nothing can be expected where false stands; leave the key out")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for each parameter that is given."""
        lacking = unanswered(self.name, facts, "evaluation", "an evaluation between steps")
        if lacking:
            return [lacking]
        found = facts.answers["evaluation"].facts
        verdicts = [self._repeats(found)] if self.repeatable else []
        return [*verdicts, self._leaves(found)] if self.leaves_training_alone else verdicts

    def _repeats(self, found: Mapping[str, Any]) -> Verdict:
        about = "apart are two evaluations of the same weights, in standard deviations of the logits"
        hint = "something random acts in evaluation (dropout?)"
        return bounded(self.name, float(found["repeat_difference"]), None, ROUNDING, about=about, hint=hint)

    def _leaves(self, found: Mapping[str, Any]) -> Verdict:
        wrong = _harm(found)
        return Verdict(
            check=self.name,
            status=Status.FAIL if wrong else Status.PASS,
            expected="training goes on bit for bit",
            reason="side_effect" if wrong else "",
            message=wrong or "evaluations between steps left weights, mode and later losses as they were",
        )


def _harm(found: Mapping[str, Any]) -> str:
    """What an evaluation did to the training, the nearest cause first; empty when nothing."""
    if found["changed_weights"]:
        return "an evaluation changed the weights, expected none to change; it must not update"
    before, after = (_mode(found[key]) for key in ("mode_before", "mode_after"))
    if before != after:
        return (
            f"{after} mode after an evaluation, expected {before} mode as before it; it does not switch back"
        )
    if found["changed_training"]:
        why = "it draws from the training's random numbers or leaves something behind"
        return f"losses after an evaluation differ from those without one, expected the same bits; {why}"
    return ""


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"

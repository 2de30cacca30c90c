"""Steps are taken in training mode, and a model with dropout trains with it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Any, ClassVar

from harness.checks import Check
from harness.checks._common import bounded, unanswered
from harness.model import Facts, Status, Verdict

ROUNDING = 1e-5
"""Losses in training and in evaluation mode that are closer than this differ by rounding alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainsInTrainingMode(Check):
    """`trains_in_training_mode: true`: the flag is up at every step, and where there is dropout, it acts."""

    entire: ClassVar[str] = "required"
    probes: ClassVar[tuple[str, ...]] = ("evaluation",)

    required: bool

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        if not self.required:
            raise ValueError("nothing can be expected of a training in any mode; leave the key out")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict on the flag; one on dropout, if the model has any."""
        lacking = unanswered(self.name, facts, "evaluation", "the mode of the steps")
        if lacking:
            return [lacking]
        found = facts.answers["evaluation"].facts
        return [self._flag(found), *([self._acts(found)] if found["dropout"] != 0 else [])]

    def _flag(self, found: Mapping[str, Any]) -> Verdict:
        if found["training_flag"] and found["flag_after_evaluation"]:
            return Verdict(
                check=self.name, status=Status.PASS, message="every step was taken in training mode"
            )
        when = "after an evaluation" if found["training_flag"] else "from the first one on"
        message = (
            f"steps {when} are taken in evaluation mode, expected training mode; call train() before them"
        )
        return Verdict(
            check=self.name,
            status=Status.FAIL,
            observed="evaluation mode",
            expected="training mode",
            reason="evaluation_mode",
            message=message,
        )

    def _acts(self, found: Mapping[str, Any]) -> Verdict:
        about = f"apart, relatively, are the losses with and without dropout {found['dropout']:.4g}"
        hint = "dropout does not act while training"
        # A share of dropout that is no number is no reason to pass.
        difference = float(found["train_eval_difference"]) if found["dropout"] > 0 else nan
        return bounded(self.name, difference, ROUNDING, None, about=about, hint=hint)

"""Losses and gradients agree with `numpy_float64` from the same problem, at default and at O(1) weights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, missing, need_a_bound, skipped
from harness.model import Facts, Status, Trace, Verdict
from harness.units import Positive


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchesReference(Check):
    """`matches_reference: {loss: 1e-5, gradients: 1e-4}`.

    loss: largest relative difference at any step. gradients: largest relative L2 difference of any tensor on
    the first batch, at the case's weights and at weights scaled until logits are of order one. Two trainings
    that do not move agree perfectly, so both must have moved.
    """

    probes: ClassVar[tuple[str, ...]] = ("reference",)

    loss: Positive | None = None
    gradients: Positive | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_a_bound(loss=self.loss, gradients=self.gradients)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict each for: both trained, loss, gradients at both scales."""
        answer = facts.answers.get("reference")
        if answer is None or facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the comparison with numpy_float64")]
        if answer.skipped:
            return [skipped(self.name, answer.skipped)]
        found = answer.facts
        return [self._moved(facts.trace, found), *self._loss(found), *self._gradients(found)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The largest difference of the loss at any step, and of any tensor's gradient at both weights."""
        answer = facts.answers.get("reference")
        if answer is None or answer.skipped:
            return {}
        gradients = [answer.facts[f"gradients_{weights}"].values() for weights in ("default", "scaled")]
        found = {
            "loss": (list(answer.facts["loss_difference"]), self.loss),
            "gradients": ([value for values in gradients for value in values], self.gradients),
        }
        return {
            (key,): Reading(value=float(max(values)), high=allowed, kind="tolerance")
            for key, (values, allowed) in found.items()
            if values and allowed is not None
        }

    def _moved(self, trace: Trace, found: Mapping[str, Any]) -> Verdict:
        here, there = bool((trace.update_norm > 0).any()), bool(found["reference_moved"])
        if here and there:
            return Verdict(check=self.name, status=Status.PASS, message="both trained")
        who = "the reference moved no weight" if here else "this training moved no weight"
        message = (
            f"{who if here or there else 'neither training moved a weight'}; agreement would mean nothing"
        )
        return Verdict(check=self.name, status=Status.FAIL, reason="not_trained", message=message)

    def _loss(self, found: Mapping[str, Any]) -> Iterable[Verdict]:
        if self.loss is None:
            return
        difference = np.asarray(found["loss_difference"], dtype=np.float64)
        if not len(difference):
            yield missing(self.name, "a loss of the reference")
            return
        bad = ~(difference <= self.loss)
        step = int(np.argmax(bad)) if bad.any() else int(np.argmax(difference))
        about = f"relative loss difference at step {step}"
        hint = _parted(found)
        yield bounded(self.name, float(difference[step]), None, self.loss, about=about, hint=hint, step=step)

    def _gradients(self, found: Mapping[str, Any]) -> Iterable[Verdict]:
        if self.gradients is None:
            return
        for weights in ("default", "scaled"):
            differences: Mapping[str, float] = found[f"gradients_{weights}"]
            tensor = max(differences, key=lambda name: _nan_first(differences[name]))
            about = f"relative gradient difference of {tensor} at {weights} weights"
            worst, hint = float(differences[tensor]), _parted(found)
            yield bounded(
                self.name, worst, None, self.gradients, about=about, hint=hint, step=0, tensor=tensor
            )


def _nan_first(value: float) -> float:
    return np.inf if np.isnan(value) else value


def _parted(found: Mapping[str, Any]) -> str:
    """Where the training first leaves the reference."""
    parting = found.get("parting")
    return f"first beyond rounding: {parting['words']}" if parting else ""

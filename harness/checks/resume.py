"""A training that is broken off and resumed goes on as if nothing had happened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, unanswered
from harness.model import Facts, Status, Verdict
from harness.units import NonNegative


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume(Check):
    """`resume: 1e-6`: the largest relative difference between 2 N steps and N steps, save, load, N steps.

    Of losses, of learning rates and of the final weights of any tensor. 0 expects the same bits.
    """

    entire: ClassVar[str] = "tolerance"
    probes: ClassVar[tuple[str, ...]] = ("resume",)

    tolerance: NonNegative

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict each for the position, the learning rates, the losses and the weights."""
        lacking = unanswered(self.name, facts, "resume", "a resumed training")
        if lacking:
            return [lacking]
        found = facts.answers["resume"].facts
        return [
            self._position(found),
            self._series(
                found, "rate_difference", "learning rate", "the schedule does not go on where it was"
            ),
            self._series(
                found, "loss_difference", "loss", "weights, optimizer state, data or random state are lost"
            ),
            self._weights(found),
        ]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The largest difference of all; a tolerance of 0 is a promise of equal bits, not a bound."""
        if not self.tolerance or unanswered(self.name, facts, "resume", "") is not None:
            return {}
        found = facts.answers["resume"].facts
        series = (*found["rate_difference"], *found["loss_difference"], found["weights_difference"])
        return {(): Reading(value=float(max(series)), high=self.tolerance, kind="tolerance")}

    def _position(self, found: Mapping[str, Any]) -> Verdict:
        at, due = found["resumed_at"], found["split"]
        message = f"resumes at step {at}, expected step {due}"
        return Verdict(
            check=self.name,
            status=Status.PASS if at == due else Status.FAIL,
            observed=float(at),
            expected=f"{due}",
            step=None if at == due else due,
            reason="" if at == due else "wrong_position",
            message=message if at == due else f"{message}; data and schedule are repeated or skipped",
        )

    def _series(self, found: Mapping[str, Any], key: str, what: str, hint: str) -> Verdict:
        differences = np.asarray(found[key], np.float64)
        bad = ~(differences <= self.tolerance)
        worst = int(np.argmax(bad)) if bad.any() else int(np.argmax(differences))
        step = int(found["split"]) + worst
        about = f"relative difference of the {what} at step {step} after resuming at step {found['split']}"
        return bounded(
            self.name, float(differences[worst]), None, self.tolerance, about=about, hint=hint, step=step
        )

    def _weights(self, found: Mapping[str, Any]) -> Verdict:
        about = "relative difference of the final weights after resuming"
        hint = "the optimizer's state is lost"
        return bounded(
            self.name, float(found["weights_difference"]), None, self.tolerance, about=about, hint=hint
        )

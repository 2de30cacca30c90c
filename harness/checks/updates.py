"""The weights move as often and as far as the optimizer's own rule says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, missing, need_a_bound
from harness.model import Facts, Status, Trace, Verdict
from harness.spec import Count
from harness.units import Positive


@dataclass(frozen=True, kw_only=True, slots=True)
class Updates(Check):
    """`updates: {per_step: 1, matches_optimizer: 1e-3}`.

    per_step: how many updates of the optimizer's own size each step makes: the update that happened,
    projected on the one that the rule gives for the recorded gradient (median over tensors), rounds to this.
    matches_optimizer: the largest relative L2 distance between the two, beyond rounding, of any tensor at any
    step. Steps and tensors for which the rule gives no update are left out, unless they moved all the same.
    """

    per_step: Count | None = None
    matches_optimizer: Positive | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_a_bound(per_step=self.per_step, matches_optimizer=self.matches_optimizer)

    @property
    def columns(self) -> tuple[str, ...]:
        """What it reads."""
        return ("update_ratio", "update_error")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for each parameter that is given."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the updates")]
        verdicts = [] if self.per_step is None else [self._per_step(facts.trace, self.per_step)]
        if self.matches_optimizer is not None:
            verdicts.append(self._matches(facts.trace, self.matches_optimizer))
        return verdicts

    def _per_step(self, trace: Trace, wanted: int) -> Verdict:
        known = np.isfinite(trace.update_ratio).any(axis=1)
        if not known.any():
            return self._nothing_to_compare()
        ratio = np.nanmedian(trace.update_ratio[known], axis=1)
        bad = np.abs(ratio - wanted) > 0.5
        worst = int(np.argmax(bad)) if bad.any() else int(np.argmax(np.abs(ratio - wanted)))
        step = int(np.flatnonzero(known)[worst])
        about = f"of the optimizer's own update happened at step {step}"
        low, high = wanted - 0.5, wanted + 0.5
        return bounded(self.name, float(ratio[worst]), low, high, unit="x", about=about, step=step)

    def _matches(self, trace: Trace, allowed: float) -> Verdict:
        error = trace.update_error
        if np.isnan(error).all():
            return self._nothing_to_compare()
        bad = np.argwhere(error > allowed)
        step, column = bad[0] if len(bad) else np.unravel_index(np.nanargmax(error), error.shape)
        tensor = trace.tensors[column]
        about = f"relative distance of {tensor} from the optimizer's rule at step {step}"
        return bounded(
            self.name, float(error[step, column]), None, allowed, about=about, step=int(step), tensor=tensor
        )

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The largest distance from the optimizer's rule; how often a step updates is no matter of spread."""
        error = None if facts.trace is None else facts.trace.update_error
        if self.matches_optimizer is None or error is None or np.isnan(error).all():
            return {}
        largest = float(np.nanmax(error))
        return {("matches_optimizer",): Reading(value=largest, high=self.matches_optimizer, kind="tolerance")}

    def _nothing_to_compare(self) -> Verdict:
        return Verdict(
            check=self.name,
            status=Status.FAIL,
            reason="no_update",
            observed=0.0,
            message="the optimizer's rule gives no update for any tensor: gradients or learning rate are 0",
        )

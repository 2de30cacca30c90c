"""Gradients are clipped to `clip_norm`, all by one factor, and left alone where they are shorter."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import unanswered
from harness.checks._held import held
from harness.model import Facts, Float64, Verdict
from harness.units import Positive, show


@dataclass(frozen=True, kw_only=True, slots=True)
class Clipping(Check):
    """`clipping: 1e-3`, the largest relative distance of the factor from the one that `clip_norm` implies.

    Asked at weights whose gradients are long enough to be clipped. Without `clip_norm` the factor is 1.
    """

    entire: ClassVar[str] = "at_most"
    probes: ClassVar[tuple[str, ...]] = ("fresh_gradients",)

    at_most: Positive

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict: of the first bad step, or of the worst."""
        lacking = unanswered(self.name, facts, "fresh_gradients", "the gradients of single steps")
        if lacking is not None:
            return [lacking]
        found = facts.answers["fresh_gradients"].facts
        ratio, wanted, apart = _factors(found)
        good = apart <= self.at_most
        worst = int(np.argmax(apart) if good.all() else np.argmin(good))
        factor = show(float(ratio[worst]), "")
        verdict = held(
            self.name,
            float(ratio[worst]),
            good=bool(good.all()),
            expected=show(float(wanted[worst]), ""),
            message=f"clipping multiplies the gradient's norm by {factor} at step {found['steps'][worst]}",
            means="what the optimizer sees is not what clip_norm implies",
            step=found["steps"][worst],
        )
        return [verdict]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The factor's largest distance at any step."""
        if unanswered(self.name, facts, "fresh_gradients", "") is not None:
            return {}
        apart = _factors(facts.answers["fresh_gradients"].facts)[2]
        return {(): Reading(value=float(apart.max()), high=self.at_most, kind="tolerance")}


def _factors(found: Mapping[str, Any]) -> tuple[Float64, Float64, Float64]:
    """At each step what clipping multiplied by, what it should, and the relative distance of the two."""
    ratio, wanted = (np.asarray(found[f"clipped_{name}"], np.float64) for name in ("ratio", "expected"))
    with np.errstate(all="ignore"):  # a gradient that is not finite is clipped to nothing
        return ratio, wanted, np.abs(ratio / wanted - 1)

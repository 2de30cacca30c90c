"""The optimizer sees the gradient of this step's batch, and nothing left from earlier steps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import unanswered
from harness.checks._held import held
from harness.model import Facts, Verdict
from harness.units import Positive, show


@dataclass(frozen=True, kw_only=True, slots=True)
class FreshGradients(Check):
    """`fresh_gradients: 1e-4`, the largest relative L2 distance at any of the first steps.

    The gradient that the optimizer sees before clipping is held to the one that the trainer gives for the
    same batch on the same weights.
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
        ratio, error = (np.asarray(found[name], dtype=np.float64) for name in ("ratio", "error"))
        good = (error <= self.at_most) & (np.abs(ratio - 1) <= self.at_most)
        worst = int(np.argmax(error) if good.all() else np.argmin(good))
        seen = f"at step {found['steps'][worst]} the optimizer sees {show(float(ratio[worst]), '')} times"
        verdict = held(
            self.name,
            float(error[worst]),
            good=bool(good.all()),
            expected=f"<= {show(self.at_most, '')}",
            message=f"{seen} the gradient of its batch, relative distance {show(float(error[worst]), '')}",
            means="gradients of other steps are mixed in, or its own are lost",
            step=found["steps"][worst],
        )
        return [verdict]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The largest distance at any step, of the gradient or of its length."""
        if unanswered(self.name, facts, "fresh_gradients", "") is not None:
            return {}
        found = facts.answers["fresh_gradients"].facts
        worst = max(*found["error"], *(abs(ratio - 1) for ratio in found["ratio"]))
        return {(): Reading(value=float(worst), high=self.at_most, kind="tolerance")}

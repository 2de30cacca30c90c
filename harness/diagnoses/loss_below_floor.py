"""The loss is lower than it can be: the answers leak into the inputs."""

import math

import numpy as np

from harness.checks._common import window_of
from harness.diagnoses import Diagnostician
from harness.diagnoses._answers import answers_in_inputs
from harness.diagnoses._evidence import anchor_of, trace_of
from harness.model import Diagnosis, Facts
from harness.units import show

MARGIN = 0.05


class LossBelowFloor(Diagnostician):
    """Below the entropy of the source; or tokens that are their own targets."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """More specific causes of a leak outrank it."""
        floor = anchor_of(facts, "floor")
        loss, step = _lowest(facts)
        leaked = answers_in_inputs(facts)
        low = floor > 0 and loss < (1 - MARGIN) * floor
        if not low and not leaked:
            return None
        anchor = f"loss {show(loss, '')} lies below the floor {show(floor, '')}, the entropy of the source"
        tokens = f"{show(leaked, '%')} of the targets stand in the inputs in place of the token that is read"
        signs = "; ".join(text for text, holds in ((anchor, low), (tokens, leaked)) if holds)
        return Diagnosis(
            name=self.name,
            cause=f"the answers leak: {signs}",
            remedy="Does a feature, a token or the order of samples give the target away?",
            weight=0.93 if leaked else 0.82,
            step=step,
            evidence=(f"lowest loss {show(loss, '')} at step {step}", f"held-out loss {_held_out(facts)}"),
        )


def _lowest(facts: Facts) -> tuple[float, int]:
    """The lowest median over a window of losses, and where it begins."""
    trace = trace_of(facts)
    if trace is None or not np.isfinite(trace.loss).all():
        return math.nan, 0
    windows = np.lib.stride_tricks.sliding_window_view(trace.loss, window_of(trace.steps, None))
    smooth = np.median(windows, axis=1)
    return float(smooth.min()), int(smooth.argmin())


def _held_out(facts: Facts) -> str:
    held_out = facts.measurements.get("held_out_loss")
    return "unknown" if held_out is None else show(held_out.value, "")

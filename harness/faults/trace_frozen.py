"""Loss and weights stand still from the first step on."""

from typing import ClassVar

import numpy as np

from harness.faults import TraceFault
from harness.faults._traces import trace_of, with_losses, with_trace
from harness.model import Facts


class TraceFrozen(TraceFault):
    """What a training looks like in which nothing is ever updated."""

    named: ClassVar[tuple[str, ...]] = ("never_updates",)

    def spoil(self, facts: Facts) -> Facts:
        """Repeat the first step's loss and weights; updates are zero where some were due."""
        trace = trace_of(facts)
        stood = with_losses(facts, np.full_like(trace.loss, trace.loss[0]))
        return with_trace(
            stood,
            weight_norm=np.broadcast_to(trace.weight_norm[0], trace.weight_norm.shape).copy(),
            weight_mean=np.broadcast_to(trace.weight_mean[0], trace.weight_mean.shape).copy(),
            update_norm=np.zeros_like(trace.update_norm),
            update_ratio=0.0 * trace.update_ratio,
            update_error=np.where(np.isfinite(trace.update_error), 1.0, trace.update_error),
            digests=trace.digests[:1] * len(trace.digests),
        )

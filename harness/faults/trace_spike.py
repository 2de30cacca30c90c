"""The gradients of one step are ten times too large."""

from typing import ClassVar

import numpy as np

from harness.faults import TraceFault
from harness.faults._traces import put, trace_of, with_trace
from harness.model import Facts


class TraceSpike(TraceFault):
    """One bad batch, or one overflow that went well."""

    named: ClassVar[tuple[str, ...]] = ("exploding_gradients",)

    def spoil(self, facts: Facts) -> Facts:
        """Raise one step's gradients, and the clipped ones where nothing was clipped."""
        trace = trace_of(facts)
        step = trace.steps // 2
        free = np.isclose(trace.clipped_norm[step], trace.gradient_norm[step])
        clipped = np.where(free, 10.0 * trace.clipped_norm[step], trace.clipped_norm[step])
        return with_trace(
            facts,
            gradient_norm=put(trace.gradient_norm, step, 10.0 * trace.gradient_norm[step]),
            gradient_largest=put(trace.gradient_largest, step, 10.0 * trace.gradient_largest[step]),
            clipped_norm=put(trace.clipped_norm, step, clipped),
        )

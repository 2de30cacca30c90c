"""From the middle on, the learning rate is half of what it should be."""

from typing import ClassVar

import numpy as np

from harness.faults import TraceFault
from harness.faults._traces import trace_of, with_trace
from harness.model import Facts


class TraceRateOff(TraceFault):
    """A schedule that jumps where it should glide."""

    named: ClassVar[tuple[str, ...]] = ("schedule_wrong_rate",)

    def spoil(self, facts: Facts) -> Facts:
        """Halve the rates, and the updates with them: each still fits its own rate."""
        trace = trace_of(facts)
        factor = np.where(np.arange(trace.steps) < trace.steps // 2, 1.0, 0.5)
        return with_trace(
            facts,
            learning_rate=factor * trace.learning_rate,
            update_norm=factor[:, None] * trace.update_norm,
        )

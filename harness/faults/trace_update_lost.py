"""One step's update never reached the weights."""

from math import nan
from typing import ClassVar

import numpy as np

from harness.faults import TraceFault
from harness.faults._traces import put, trace_of, with_trace
from harness.model import Facts


class TraceUpdateLost(TraceFault):
    """A race, or a step that a scaler passed over without a word."""

    named: ClassVar[tuple[str, ...]] = ("never_updates", "update_rule_differs")

    def spoil(self, facts: Facts) -> Facts:
        """Let the middle step move nothing."""
        trace = trace_of(facts)
        step = trace.steps // 2
        digests = trace.digests
        if 0 < step < len(digests):
            digests = (*digests[:step], digests[step - 1], *digests[step + 1 :])
        return with_trace(
            facts,
            update_norm=put(trace.update_norm, step, 0.0),
            update_ratio=put(trace.update_ratio, step, 0.0 * trace.update_ratio[step]),
            update_error=put(
                trace.update_error, step, np.where(np.isnan(trace.update_ratio[step]), nan, 1.0)
            ),
            digests=digests,
        )

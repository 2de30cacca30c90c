"""The loss of one step is NaN."""

from math import nan
from typing import ClassVar

from harness.faults import TraceFault
from harness.faults._traces import put, trace_of, with_losses
from harness.model import Facts


class TraceNanLoss(TraceFault):
    """A single NaN in the middle, and finite numbers on both sides of it."""

    named: ClassVar[tuple[str, ...]] = ("nonfinite_origin",)

    def spoil(self, facts: Facts) -> Facts:
        """Put it into the middle."""
        trace = trace_of(facts)
        return with_losses(facts, put(trace.loss, trace.steps // 2, nan))

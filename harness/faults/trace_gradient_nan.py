"""One gradient of one step is NaN."""

from math import nan
from typing import ClassVar

from harness.faults import TraceFault
from harness.faults._traces import put, trace_of, with_trace
from harness.model import Facts


class TraceGradientNan(TraceFault):
    """One tensor in the middle of the model, at the middle step."""

    named: ClassVar[tuple[str, ...]] = ("nonfinite_origin",)

    def spoil(self, facts: Facts) -> Facts:
        """Put it there; clipping by the norm of all carries it everywhere, which is not told here."""
        trace = trace_of(facts)
        place = trace.steps // 2, len(trace.tensors) // 2
        return with_trace(
            facts,
            gradient_norm=put(trace.gradient_norm, place, nan),
            gradient_largest=put(trace.gradient_largest, place, nan),
            clipped_norm=put(trace.clipped_norm, place, nan),
        )

"""Memory climbs to 10 % above what it was, and stays taken."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from harness.faults import TraceFault
from harness.faults._traces import trace_of, with_trace
from harness.model import Facts


class TraceMemoryUp(TraceFault):
    """Little at each step: the sum is what an operator sees in the morning."""

    named: ClassVar[tuple[str, ...]] = ("memory_grows",)

    def spoil(self, facts: Facts) -> Facts:
        """Let resident memory climb along a line, and raise the peaks."""
        trace = trace_of(facts)
        climb = 1.0 + 0.1 * np.arange(1, trace.steps + 1) / trace.steps
        peaks = {
            name: replace(found, value=1.1 * found.value)
            for name, found in facts.measurements.items()
            if name.startswith("peak_memory")
        }
        return replace(
            with_trace(facts, memory=climb * trace.memory), measurements={**facts.measurements, **peaks}
        )

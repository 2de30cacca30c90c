"""Memory grows with every step."""

import numpy as np

from harness.checks.memory_growth import FEWEST_STEPS, slope
from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import trace_of
from harness.model import Diagnosis, Facts
from harness.units import show

MOST = 200
"""Points that the slope is taken over."""
A_STEP = 64 * 1024


class MemoryGrows(Diagnostician):
    """Resident memory climbs to the end, step by step."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The robust slope over the second half; the first half is warm-up."""
        trace = trace_of(facts)
        if trace is None or trace.steps < FEWEST_STEPS or not np.isfinite(trace.memory).all():
            return None
        late = trace.memory[trace.steps // 2 :]
        stride = -(-len(late) // MOST)
        thinned = late[::stride]
        growth = slope(thinned) / stride if len(thinned) > 3 else 0.0
        rising = float((np.diff(thinned) > 0).mean()) if len(thinned) > 3 else 0.0
        if not growth > 0 or not growth * trace.steps > 0.02 * trace.memory[0] or rising < 0.5:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"memory grows every step: {show(growth, 'B')} a step, {show(trace.memory[0], 'B')} to"
            f" {show(trace.memory[-1], 'B')} in {trace.steps} steps",
            remedy="Is something kept from step to step (losses with their graph: use"
            " loss.item(); caches; hooks)?",
            weight=0.95 if growth > A_STEP else 0.8,
            step=trace.steps // 2,
            evidence=(f"{show(rising, '%')} of the later steps take more than the one before",),
        )

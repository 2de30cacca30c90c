"""Memory grows with every step."""

import numpy as np

from harness.checks.memory_growth import FEWEST_STEPS, climb
from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import trace_of
from harness.model import Diagnosis, Facts
from harness.units import show

A_STEP = 64 * 1024


class MemoryGrows(Diagnostician):
    """Resident memory climbs to the end, step by step."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """By the floor: what is taken and given back leaves it. The first third is warm-up."""
        trace = trace_of(facts)
        if trace is None or trace.steps < FEWEST_STEPS or not np.isfinite(trace.memory).all():
            return None
        growth = climb(trace.memory)
        if not growth > 0 or not growth * trace.steps > 0.02 * trace.memory[0]:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"memory grows every step: {show(growth, 'B')} a step, {show(trace.memory[0], 'B')} to"
            f" {show(trace.memory[-1], 'B')} in {trace.steps} steps",
            remedy="Is something kept from step to step (losses with their graph: use"
            " loss.item(); caches; hooks)?",
            weight=0.95 if growth > A_STEP else 0.8,
            step=trace.steps // 3,
            evidence=(f"the floor rises by {show(growth, 'B')} a step in each of the last two thirds",),
        )

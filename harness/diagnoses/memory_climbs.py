"""Memory grows with every step."""

import numpy as np

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts
from harness.units import show

LEAST_STEPS = 40
PARTS = 8
"""The training is divided into so many parts, each of which must add its share."""
LEAST_BYTES = 48 << 20


class MemoryClimbs(ProgramDiagnostician):
    """Reads the resident memory at each update."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """From the first fifth on, steadily, by tens of megabytes."""
        trace = facts.trace
        if trace is None or trace.steps < LEAST_STEPS or not np.isfinite(trace.memory).all():
            return None
        later = trace.memory[trace.steps // 5 :]
        parts = np.array([part.mean() for part in np.array_split(later, PARTS)])
        grown = float(parts[-1] - parts[0]) * PARTS / (PARTS - 1)
        if (
            grown < LEAST_BYTES
            or grown < 0.1 * float(parts[0])
            or not (np.diff(parts) > 0.3 * grown / PARTS).all()
        ):
            return None
        each = grown / len(later) / max(1.0, count(found(facts, "training"), "stride"))
        return self.finding(
            f"memory grows with every step: by {show(grown, 'B')} in {len(later)} steps,"
            f" {show(each, 'B')} each,"
            " without a pause",
            "What is kept from step to step: losses or outputs with their graph, a list, a cache?",
            # Without a graph it may be a buffer that fills, or results that are collected.
            0.65 if _graphs_kept(facts) else 0.45,
        )


def _graphs_kept(facts: Facts) -> bool:
    """Whether losses or outputs of earlier steps are still alive, with all that made them."""
    if count(found(facts, "graphs"), "a_step") > 0.5:
        return True
    told = found(facts, "cycle")
    return any(
        count(told, f"older_{what}") >= PARTS
        and count(told, f"kept_{what}") > 0.3 * count(told, f"older_{what}")
        for what in ("losses", "outputs")
    )

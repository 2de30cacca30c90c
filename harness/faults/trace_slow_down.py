"""The last step takes five times as long as the first."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from harness.faults import TraceFault
from harness.model import Facts


class TraceSlowDown(TraceFault):
    """Steps that grow slower and slower, as with a list that is never emptied."""

    named: ClassVar[tuple[str, ...]] = ("steps_slow_down",)

    def spoil(self, facts: Facts) -> Facts:
        """Stretch the timed steps along a line; their median and the throughput follow."""
        timed = facts.measurements.get("step_time")
        if timed is None or len(timed.samples) < 3:
            raise NotImplementedError("no step was timed")
        slower = np.asarray(timed.samples) * np.linspace(1.0, 5.0, len(timed.samples))
        median = float(np.median(slower))
        found = {
            **facts.measurements,
            "step_time": replace(timed, value=median, samples=tuple(slower.tolist())),
        }
        if "throughput" in found:
            speed = found["throughput"]
            found["throughput"] = replace(speed, value=speed.value * timed.value / median)
        return replace(facts, measurements=found)

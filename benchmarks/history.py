"""Change points: 60 series of 300 points, and beside it what asv takes for the same series."""

import time

import numpy as np
from asv import step_detect

from harness.change_points import change_points
from harness.model import Float64

SERIES, POINTS = 60, 300


def made_up() -> list[Float64]:
    """Step times with noise of 2.5 %; every third rises by 10 % in the middle."""
    generator = np.random.default_rng(0)
    series = [1 + 0.025 * generator.standard_normal(POINTS) for _ in range(SERIES)]
    for values in series[::3]:
        values[POINTS // 2 :] *= 1.1
    return series


class ChangePoints:
    """Seconds of a pass over all series, by us and by asv, and the ratio of the two in one run."""

    timeout = 300

    def setup(self) -> None:
        self.series = made_up()
        change_points(self.series[0])

    def ours(self) -> float:
        start = time.perf_counter()
        for values in self.series:
            change_points(values)
        return time.perf_counter() - start

    def theirs(self) -> float:
        start = time.perf_counter()
        for values in self.series:
            step_detect.detect_steps(list(values))
        return time.perf_counter() - start

    def track_seconds(self) -> float:
        return min(self.ours() for _ in range(3))

    def track_seconds_of_asv(self) -> float:
        return self.theirs()

    def track_ratio_to_asv(self) -> float:
        return self.ours() / self.theirs()

    track_seconds.unit = track_seconds_of_asv.unit = "s"  # type: ignore[attr-defined]
    track_ratio_to_asv.unit = "ratio"  # type: ignore[attr-defined]

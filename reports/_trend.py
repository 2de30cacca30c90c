"""A metric of one cell over its last runs, as dots on a line: coordinates only, the template draws."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.history import Metric
from harness.model import Run, Status
from harness.units import show

WIDTH, HEIGHT, EDGE = 280.0, 72.0, 6.0
RUNS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Dot:
    """One run's place in the picture."""

    x: float
    y: float
    good: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """One small picture. label: its accessible name, with the key numbers."""

    title: str
    latest: str
    label: str
    low: str
    high: str
    dots: tuple[Dot, ...]

    @property
    def points(self) -> str:
        """The line through all dots, as SVG writes it."""
        return " ".join(f"{dot.x:g},{dot.y:g}" for dot in self.dots)


def trend(metric: Metric, newest_first: Sequence[Run]) -> Trend | None:
    """The last `RUNS` runs that have the metric; None when fewer than one has it."""
    found = [
        (run, value)
        for run in newest_first[:RUNS]
        if (value := metric.read(run)) is not None and np.isfinite(value)
    ]
    if not found:
        return None
    values = np.array([value for _, value in reversed(found)])
    low, high = float(values.min()), float(values.max())
    middle, latest = show(float(np.median(values)), metric.unit), show(float(values[-1]), metric.unit)
    title = metric.name.replace("_", " ").replace(".", ", ")
    ends = (show(low, metric.unit), show(high, metric.unit))
    return Trend(
        title=title,
        latest=latest,
        label=f"{title}: latest {latest}, median of {len(values)} runs {middle}, {ends[0]} to {ends[1]}.",
        low=ends[0],
        high=ends[1],
        dots=tuple(
            Dot(x=x, y=y, good=run.status is Status.PASS)
            for (run, _), x, y in zip(reversed(found), _across(len(values)), _down(values), strict=True)
        ),
    )


def _across(count: int) -> list[float]:
    """Even places from left to right; the newest run stands at the right edge."""
    step = (WIDTH - 2 * EDGE) / max(count - 1, 1)
    return [round(WIDTH - EDGE - step * (count - 1 - index), 1) for index in range(count)]


def _down(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    """Heights in a range of at least a tenth of the median: a still series must look still."""
    middle = (values.min() + values.max()) / 2
    reach = max(values.max() - values.min(), 0.1 * abs(float(np.median(values))), 1e-300)
    shares = (values - middle) / reach + 0.5
    return [round(HEIGHT - EDGE - float(share) * (HEIGHT - 2 * EDGE), 1) for share in shares]

"""A metric of one cell over its last runs as a line: coordinates and words only, the template draws."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from harness.changes import Change
from harness.history import Point, Series
from harness.model import Float64, Run, Status, Verdict
from harness.units import seconds, show, size
from reports._changes import change_words
from reports._words import commit_text, day

WIDTH, HEIGHT, EDGE = 280.0, 84.0, 6.0
RUNS, DOTS = 300, 60
"""So many runs are drawn, and so many as dots; more would be one smear."""
READERS: Mapping[str, Callable[[str], float]] = {"": float, "s": seconds, "B": size}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Something that stands out at one place: what it says, and the page it leads to ('' for none)."""

    x: float
    y: float
    text: str
    page: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """One small picture.

    label: its accessible name, with the key numbers. lines: the points of each kind of run, as SVG writes
    them. dots: the path of all points, where they are few. bad: runs that did not pass. steps: where a
    lasting change begins. breaks: where the kind of run changed, so that what follows does not compare.
    bounds: heights of what is allowed.
    """

    title: str
    anchor: str
    latest: str
    label: str
    low: str
    high: str
    first: str
    last: str
    lines: tuple[str, ...]
    dots: str
    newest: Mark
    bad: tuple[Mark, ...]
    steps: tuple[Mark, ...]
    breaks: tuple[Mark, ...]
    bounds: tuple[float, ...]
    allowed: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """Where runs and values stand. x: of each run, the newest at the right edge; low: value at the foot."""

    x: Float64
    low: float
    reach: float

    def holds(self, value: float) -> bool:
        """Whether a value lies inside, rounding apart."""
        return -1e-6 <= (value - self.low) / self.reach <= 1 + 1e-6

    def down(self, values: Float64) -> Float64:
        """Heights of values."""
        found: Float64 = np.round(HEIGHT - EDGE - (values - self.low) / self.reach * (HEIGHT - 2 * EDGE), 1)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drawn:
    """The runs of a picture in its order, and where each stands."""

    series: list[Series]
    points: list[Point]
    x: list[float]
    y: list[float]

    def at(self, place: int, text: str, page: str = "") -> Mark:
        """A mark on one run."""
        return Mark(x=self.x[place], y=self.y[place], text=text, page=page)


def trend(
    kinds: Sequence[Series],
    changes: Sequence[Change],
    page: Callable[[str], str],
    verdict: Verdict | None = None,
) -> Trend | None:
    """The last `RUNS` runs of a metric of a cell; None where no finite value is on record.

    kinds: its series, one for each kind of run. page: where a run's page lies. verdict: of the newest run on
    this metric, whose bounds are drawn.
    """
    shown = _last(kinds)
    if not shown:
        return None
    points, unit = [point for _, point in shown], kinds[-1].unit
    values = np.array([point.value for point in points])
    bounds = _bounds(verdict, unit)
    frame = _framed(values, bounds)
    drawn = _Drawn(
        series=[one for one, _ in shown], points=points, x=frame.x.tolist(), y=frame.down(values).tolist()
    )
    inside = frame.down(np.array([bound for bound in bounds if frame.holds(bound)]))
    return Trend(
        **_words(kinds[-1], values),
        anchor=f"{kinds[-1].backend}-{kinds[-1].metric}",
        first=_moment(points[0]),
        last=_moment(points[-1]),
        lines=tuple(_lines(drawn)),
        dots=_path("M%g %gh0", drawn.x, drawn.y) if len(points) <= DOTS else "",
        newest=_run_mark(drawn, len(points) - 1, page),
        bad=tuple(
            _run_mark(drawn, at, page) for at, one in enumerate(points) if one.status is not Status.PASS
        ),
        steps=tuple(_steps(drawn, changes, page)),
        breaks=tuple(_breaks(drawn)),
        bounds=tuple(inside.tolist()),
        allowed=verdict.expected if verdict is not None and bounds else "",
    )


def _last(kinds: Sequence[Series]) -> list[tuple[Series, Point]]:
    every = [(one, point) for one in kinds for point in one.points if math.isfinite(point.value)]
    if len(kinds) > 1:
        every.sort(key=lambda found: (found[1].when, found[1].run))
    return every[-RUNS:]


def _framed(values: Float64, bounds: Sequence[float]) -> _Frame:
    """A range of at least a tenth of the median: a still series must look still. Near bounds are inside."""
    low, high = float(values.min()), float(values.max())
    reach = max(high - low, 0.1 * abs(float(np.median(values))), 1e-300)
    near = [bound for bound in bounds if low - reach <= bound <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    reach = max(reach, high - low)
    left = np.arange(len(values) - 1, -1, -1) * (WIDTH - 2 * EDGE) / max(len(values) - 1, 1)
    return _Frame(x=np.round(WIDTH - EDGE - left, 1), low=(low + high - reach) / 2, reach=reach)


def _bounds(verdict: Verdict | None, unit: str) -> list[float]:
    """The limits in a verdict's words, `<= 36 ms` or `1.9 to 2.1`, in base units."""
    if verdict is None or unit not in READERS:
        return []
    texts = verdict.expected.removeprefix("<= ").removeprefix(">= ").split(" to ")
    try:
        return [float(READERS[unit](text.replace(",", "").strip())) for text in texts]
    except ValueError:
        return []


def _words(one: Series, values: Float64) -> dict[str, Any]:
    latest, middle, low, high = (
        show(float(value), one.unit) for value in (values[-1], np.median(values), values.min(), values.max())
    )
    title = one.metric.replace("_", " ").replace(".", ", ")
    label = f"{title}: latest {latest}, median of {len(values)} runs {middle}, {low} to {high}."
    return {"title": title, "latest": latest, "label": label, "low": low, "high": high}


def _lines(drawn: _Drawn) -> list[str]:
    """A line for each kind of run that has two or more."""
    groups: dict[int, list[int]] = {}
    for at, one in enumerate(drawn.series):
        groups.setdefault(id(one), []).append(at)
    return [
        _path("%g,%g ", [drawn.x[at] for at in group], [drawn.y[at] for at in group]).rstrip()
        for group in groups.values() if len(group) > 1
    ]  # fmt: skip


def _path(form: str, x: Sequence[float], y: Sequence[float]) -> str:
    """All places in one string; in one go, for there are tens of thousands in a report."""
    return form * len(x) % tuple(chain.from_iterable(zip(x, y, strict=True)))


def _steps(drawn: _Drawn, changes: Sequence[Change], page: Callable[[str], str]) -> Iterator[Mark]:
    begins = {change.run: change_words(change) for change in changes}
    for at, point in enumerate(drawn.points):
        if point.run in begins:
            yield drawn.at(at, begins[point.run], page(point.run))


def _breaks(drawn: _Drawn) -> list[Mark]:
    firsts = {id(one): at for at, one in reversed(list(enumerate(drawn.series)))}
    return [drawn.at(at, drawn.series[at].difference) for at in firsts.values() if at]


def _run_mark(drawn: _Drawn, at: int, page: Callable[[str], str]) -> Mark:
    point = drawn.points[at]
    words = f"{point.status}, {show(point.value, drawn.series[at].unit)}, {_moment(point)}"
    return drawn.at(at, words, page(point.run))


def _moment(point: Point) -> str:
    return f"{day(point.when)[:10]}, {commit_text(point.commit, point.dirty)}"


def bound_of(run: Run | None, metric: str) -> Verdict | None:
    """What a run's case asks of a metric, if the run is known with its verdicts."""
    verdicts = () if run is None else run.verdicts
    return next((verdict for verdict in verdicts if verdict.check == metric), None)

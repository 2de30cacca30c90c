"""The seconds of each timed step, in their order."""

from collections.abc import Iterator

import numpy as np
from markupsafe import Markup

from harness.model import Float64, Run
from harness.units import show
from reports.figures import Figure
from reports.figures import _plain as plain
from reports.figures._numbers import finite, thinned

HEIGHT, LEFT, TOP, RIGHT = 180, 60, 8, 74
PLOT_HEIGHT, ROOM, SMALL = 128, 8, 11
DOTS, ROWS = 400, 60


def draw(run: Run) -> Figure | None:
    """The figure, or None when no step was timed."""
    measured = run.facts.measurements.get("step_time")
    seconds = np.asarray(measured.samples if measured else (), dtype=float)
    seconds = finite(seconds)
    if not len(seconds):
        return None
    low, middle, high = (float(value) for value in np.percentile(seconds, [25, 50, 75]))
    numbers = (
        f"{len(seconds)} timed steps: median {show(middle, 's')}, "
        f"middle half {show(low, 's')} to {show(high, 's')}, slowest {show(float(seconds.max()), 's')}."
    )
    shown = thinned(len(seconds), ROWS)
    return Figure(
        name="step_time",
        title="Step times",
        how="One dot a timed step, in order; nobody observes these steps. The line is the median. A band is "
        "good; stairs, a slope or a second band say that something else took part.",
        numbers=numbers,
        svg=plain.drawing(plain.WIDTH, HEIGHT, numbers, _parts(seconds, middle)),
        columns=("timed step", "time"),
        rows=tuple((str(index), show(float(seconds[index]), "s")) for index in shown),
        note="" if len(shown) == len(seconds) else f"{len(shown)} of {len(seconds)} steps, evenly chosen.",
    )


def _parts(seconds: Float64, middle: float) -> Iterator[Markup]:
    top = 1.08 * float(seconds.max()) or 1.0
    last, right, floor = max(len(seconds) - 1, 1), plain.WIDTH - RIGHT, TOP + PLOT_HEIGHT
    inner = right - LEFT - 2 * ROOM

    def place(index: float, value: float) -> tuple[float, float]:
        return LEFT + ROOM + inner * index / last, floor - PLOT_HEIGHT * value / top

    for tick in plain.round_ticks(top, 4):
        _, y = place(0, tick)
        yield plain.path(f"M{LEFT} {y:.1f}H{right}", "--grid", 1)
        yield plain.text(LEFT - 6, y, show(tick, "s"), anchor="end", colour="--muted", size=SMALL)
    for tick in plain.whole_ticks(len(seconds) - 1):
        yield plain.text(
            place(tick, 0)[0], floor + 12, str(tick), anchor="middle", colour="--muted", size=SMALL
        )
    yield plain.path(f"M{LEFT} {TOP}V{floor}H{right}", "--line", 1)
    shown = thinned(len(seconds), DOTS)
    yield plain.path(
        plain.dotted([place(at, float(seconds[at])) for at in shown]), "--accent", 4.4, dots=True
    )
    _, y = place(0, middle)
    yield plain.path(f"M{LEFT} {y:.1f}H{right}", "--muted", 1.2)
    yield plain.text(right + 6, y - 7, "median", size=SMALL)
    yield plain.text(right + 6, y + 7, show(middle, "s"), size=SMALL)
    yield plain.text((LEFT + right) / 2, floor + 32, "timed step", anchor="middle", colour="--muted")

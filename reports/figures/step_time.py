"""The seconds of each timed step, in their order."""

from collections.abc import Iterator

import numpy as np
from markupsafe import Markup

from harness.model import Float64, Run
from harness.units import show
from reports.figures import Figure
from reports.figures import _plain as plain
from reports.figures._numbers import finite, thinned

HEIGHT = 180
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
    plot = plain.Plot(steps=len(seconds), low=0.0, high=1.08 * float(seconds.max()) or 1.0)
    ticks = [(tick, show(tick, "s")) for tick in plain.round_ticks(plot.high, 4)]
    yield from plot.frame(ticks, "timed step")
    yield plot.dots([(at, float(seconds[at])) for at in thinned(len(seconds), DOTS)], "--accent")
    yield from plot.across(middle, "--muted", ["median", show(middle, "s")])

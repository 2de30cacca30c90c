"""The seconds of each timed step, in their order."""

from typing import Any

import numpy as np

from harness.model import Float64, Run
from harness.units import show
from reports.figures import Figure
from reports.figures import _canvas as canvas

HEIGHT, LEFT, TOP, RIGHT = 180, 60, 8, 74
PLOT_HEIGHT = 128
DOTS, ROWS = 400, 60


def draw(run: Run) -> Figure | None:
    """The figure, or None when no step was timed."""
    measured = run.facts.measurements.get("step_time")
    seconds = np.asarray(measured.samples if measured else (), dtype=float)
    seconds = canvas.finite(seconds)
    if not len(seconds):
        return None
    low, middle, high = (float(value) for value in np.percentile(seconds, [25, 50, 75]))
    numbers = (
        f"{len(seconds)} timed steps: median {show(middle, 's')}, "
        f"middle half {show(low, 's')} to {show(high, 's')}, slowest {show(float(seconds.max()), 's')}."
    )
    with canvas.sheet(canvas.WIDTH, HEIGHT) as made:
        _dots(canvas.axes(made, LEFT, TOP, canvas.WIDTH - LEFT - RIGHT, PLOT_HEIGHT), seconds, middle)
        svg = canvas.svg_of(made, "step_time", numbers)
    shown = canvas.thinned(len(seconds), ROWS)
    return Figure(
        name="step_time",
        title="Step times",
        how="One dot a timed step, in order; nobody observes these steps. The line is the median. A band is "
        "good; stairs, a slope or a second band say that something else took part.",
        numbers=numbers,
        svg=svg,
        columns=("timed step", "time"),
        rows=tuple((str(index), show(float(seconds[index]), "s")) for index in shown),
        note="" if len(shown) == len(seconds) else f"{len(shown)} of {len(seconds)} steps, evenly chosen.",
    )


def _dots(ax: Any, seconds: Float64, middle: float) -> None:
    shown = canvas.thinned(len(seconds), DOTS)
    canvas.whole_ticks(ax, len(seconds) - 1)
    canvas.value_ticks(ax, 0.0, 1.08 * float(seconds.max()) or 1.0, lambda value: show(value, "s"), bins=4)
    ax.axhline(middle, color=canvas.MUTED, linewidth=1.2)
    text = f"median\n{show(middle, 's')}"
    ax.text(1.03, middle, text, transform=ax.get_yaxis_transform(), va="center", fontsize=canvas.SIZE - 1)
    ax.plot(
        shown,
        seconds[shown],
        linestyle="",
        marker="o",
        markersize=4.4,
        color=canvas.ACCENT,
        markeredgewidth=0,
    )
    ax.set_xlabel("timed step")

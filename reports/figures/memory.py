"""The highest resident memory of each phase, above what the imports took."""

from typing import Any

import numpy as np

from harness.model import Measurement, Run
from harness.units import show
from reports.figures import Figure
from reports.figures import _canvas as canvas

PREFIX = "peak_memory."
BAR, TOP, BOTTOM, LEFT, RIGHT = 32, 4, 8, 68, 78


def draw(run: Run) -> Figure | None:
    """The figure, or None when no phase was measured."""
    named = {name: found for name, found in run.facts.measurements.items() if name.startswith(PREFIX)}
    phases = {name.removeprefix(PREFIX): found for name, found in named.items() if np.isfinite(found.value)}
    if not phases:
        return None
    texts = {phase: show(found.value, found.unit) for phase, found in phases.items()}
    numbers = "Peak memory: " + ", ".join(f"{phase} {text}" for phase, text in texts.items()) + "."
    with canvas.sheet(canvas.WIDTH, TOP + BAR * len(phases) + BOTTOM) as made:
        ax = canvas.axes(made, LEFT, TOP, canvas.WIDTH - LEFT - RIGHT, BAR * len(phases))
        _bars(ax, phases, texts)
        svg = canvas.svg_of(made, "memory", numbers)
    return Figure(
        name="memory",
        title="Peak memory by phase",
        how="Above what was resident after the imports, each phase from its own start. Training needs more "
        "than building: gradients and optimizer state.",
        numbers=numbers,
        svg=svg,
        columns=("phase", "peak", "bytes"),
        rows=tuple((phase, texts[phase], f"{found.value:,.0f}") for phase, found in phases.items()),
    )


def _bars(ax: Any, phases: dict[str, Measurement], texts: dict[str, str]) -> None:
    values = [max(found.value, 0.0) for found in phases.values()]
    top = max(values) or 1.0
    places = range(len(values))
    ax.barh(places, values, height=0.62, color=canvas.ACCENT)
    ax.set_xlim(0, top)
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.set_xticks([])
    ax.set_yticks(list(places), list(phases), fontsize=canvas.SIZE)
    ax.tick_params(length=0, labelcolor=canvas.INK)
    ax.spines["bottom"].set_visible(False)
    for place, (value, text) in enumerate(zip(values, texts.values(), strict=True)):
        ax.text(value + top * 0.02, place, text, va="center")

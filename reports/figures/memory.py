"""The highest resident memory of each phase, above what the imports took."""

from collections.abc import Iterator

import numpy as np
from markupsafe import Markup

from harness.model import Measurement, Run
from harness.units import show
from reports.figures import Figure
from reports.figures import _plain as plain

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
    height = TOP + BAR * len(phases) + BOTTOM
    return Figure(
        name="memory",
        title="Peak memory by phase",
        how="Above what was resident after the imports, each phase from its own start. Training needs more "
        "than building: gradients and optimizer state.",
        numbers=numbers,
        svg=plain.drawing(plain.WIDTH, height, numbers, _parts(phases, texts)),
        columns=("phase", "peak", "bytes"),
        rows=tuple((phase, texts[phase], f"{found.value:,.0f}") for phase, found in phases.items()),
    )


def _parts(phases: dict[str, Measurement], texts: dict[str, str]) -> Iterator[Markup]:
    values = [max(found.value, 0.0) for found in phases.values()]
    top, room = max(values) or 1.0, plain.WIDTH - LEFT - RIGHT
    for index, (phase, value) in enumerate(zip(phases, values, strict=True)):
        length, middle = room * value / top, TOP + BAR * (index + 0.5)
        yield plain.bar(LEFT, middle - 0.31 * BAR, length, 0.62 * BAR)
        yield plain.text(LEFT - 6, middle, phase, anchor="end")
        yield plain.text(LEFT + length + 6, middle, texts[phase])
    yield plain.path(f"M{LEFT} {TOP}v{BAR * len(phases)}", "--line", 1)

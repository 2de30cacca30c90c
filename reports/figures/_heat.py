"""A heat map of tensors over steps: one row a tensor, one column a step or, for long runs, several."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from harness.model import Array, Float64, Trace
from harness.units import show
from reports._words import shorten_middle
from reports.figures import Figure
from reports.figures import _canvas as canvas
from reports.figures._numbers import finite, thinned
from reports.figures._plain import SIZE

COLUMNS = 240
"""More steps than this share columns; a column shows the step that is furthest from what it should be."""
WIDTH, RIGHT, TOP, BOTTOM = 960, 14, 46, 40
CHARACTER = 6.4
NAME = 38
BAD = (0xC2, 0x18, 0x5B, 255)
ZERO = (128, 138, 150, 52)
ABSENT = (0, 0, 0, 0)
VIRIDIS = ("#31688e", "#26828e", "#1f9e89", "#4ac16d", "#a0da39", "#fde725")
"""The upper part of viridis (Smith and van der Walt, 2015): its lowest colours vanish on a dark page."""
AROUND = ("#1f5fbf", "#6d8fc0", "#98a2ad", "#d98a4c", "#d9480f")

Scale = Callable[[Float64], Float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Heat:
    """What a map shows.

    scale: finite values other than zero to 0..1. ticks: places (0..1) and texts on the colour bar.
    far: how far a value is from what it should be; chooses the step that stands for a column.
    blank_nan: NaN means that there is no value, and is no alarm.
    """

    name: str
    title: str
    how: str
    numbers: str
    colours: tuple[str, ...]
    scale: Scale
    ticks: tuple[tuple[float, str], ...]
    far: Scale
    blank_nan: bool = False


def figure_of(trace: Trace, values: Float64, heat: Heat) -> Figure:
    """The figure of a (T, P) quantity."""
    seen, per_column = binned(values, heat.far)
    names = [shorten_middle(name, NAME) for name in trace.tensors]
    row = 20 if len(names) <= 24 else 15 if len(names) <= 60 else 13
    left = 16 + CHARACTER * max(len(name) for name in names)
    width, height = WIDTH, TOP + row * len(names) + BOTTOM
    with canvas.sheet(width, height) as made:
        ax = canvas.axes(made, left, TOP, width - left - RIGHT, row * len(names))
        _cells(ax, seen, heat)
        _names(ax, names, min(row - 2, SIZE - 1))
        _steps(ax, trace.steps, seen.shape[0], per_column)
        _bar(canvas.axes(made, left, 16, 220, 9), heat)
        svg = canvas.svg_of(made, heat.name, heat.numbers)
    return Figure(
        name=heat.name, title=heat.title, how=heat.how + _sharing(per_column), numbers=heat.numbers,
        svg=svg, wide=True,
        columns=("tensor", "first", "last", "smallest", "largest", "zero at", "not finite at"),
        rows=tuple(_row(name, values[:, index]) for index, name in enumerate(trace.tensors)),
    )  # fmt: skip


def binned(values: Float64, far: Scale) -> tuple[Float64, int]:
    """At most `COLUMNS` rows of a (T, P) quantity, and how many steps each stands for.

    Of steps that share a column, a non-finite one is shown first, then the one for which `far` is largest.
    """
    steps = len(values)
    per_column = -(-steps // COLUMNS)
    if per_column == 1:
        return values, 1
    count = -(-steps // per_column)
    padded = np.concatenate([values, np.repeat(values[-1:], count * per_column - steps, axis=0)])
    parts = padded.reshape(count, per_column, -1)
    with np.errstate(all="ignore"):
        worth = np.where(np.isfinite(parts), far(parts), np.inf)
    worth = np.where(np.isnan(worth), -np.inf, worth)
    return np.take_along_axis(parts, worth.argmax(axis=1)[:, None, :], axis=1)[:, 0, :], per_column


def colours_of(seen: Float64, heat: Heat) -> Array:
    """Pixels (P, columns, 4) of a (columns, P) quantity. Absent values let the page shine through."""
    plain = np.isfinite(seen) & (seen != 0)
    shade = np.zeros_like(seen)
    shade[plain] = np.clip(heat.scale(seen[plain]), 0, 1)
    palette = LinearSegmentedColormap.from_list(heat.name, heat.colours)
    pixels: Array = palette(shade, bytes=True)
    pixels[~plain] = ABSENT
    pixels[seen == 0] = ZERO
    pixels[alarming(seen, heat)] = BAD
    return pixels.transpose(1, 0, 2)


def alarming(seen: Float64, heat: Heat) -> Array:
    """Which values are not finite and should be."""
    return np.isinf(seen) if heat.blank_nan else ~np.isfinite(seen)


def _cells(ax: Any, seen: Float64, heat: Heat) -> None:
    columns, rows = seen.shape
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    ax.imshow(colours_of(seen, heat), interpolation="none", aspect="auto", extent=extent)
    ax.hlines(np.arange(rows + 1) - 0.5, -0.5, columns - 0.5, color=canvas.CARD, linewidth=1)
    for spine in ax.spines.values():
        spine.set_visible(False)
    # A mark where a state begins is enough: the colour carries on, and the picture stays small.
    for state, marker, colour in ((alarming(seen, heat), "x", "#ffffff"), (seen == 0, "o", canvas.MUTED)):
        begins = state & ~np.concatenate([np.zeros_like(state[:1]), state[:-1]])
        across, down = np.nonzero(begins)
        ax.plot(across, down, linestyle="", marker=marker, color=colour, markersize=5.5, fillstyle="none")


def _names(ax: Any, names: list[str], size: float) -> None:
    # Plain texts: axis ticks cost a millisecond each, and there are hundreds.
    ax.set_yticks([])
    for index, name in enumerate(names):
        ax.text(
            -0.008, index, name, transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=size
        )


def _steps(ax: Any, steps: int, columns: int, per_column: int) -> None:
    places = thinned(columns, min(9, columns))
    ax.set_xticks(places, [str(min(place * per_column, steps - 1)) for place in places])
    ax.tick_params(length=0)
    ax.set_xlabel("step")


def _bar(ax: Any, heat: Heat) -> None:
    palette = LinearSegmentedColormap.from_list(heat.name, heat.colours)
    ax.imshow(
        np.linspace(0, 1, 64)[None], cmap=palette, aspect="auto", extent=(0, 1, 0, 1), interpolation="none"
    )
    ax.set_yticks([])
    ax.set_xticks([place for place, _ in heat.ticks], [text for _, text in heat.ticks])
    ax.xaxis.tick_top()
    ax.tick_params(length=0, pad=1)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.plot([1.16], [0.5], marker="s", color=tuple(part / 255 for part in ZERO), markersize=11, clip_on=False)
    ax.plot([1.16], [0.5], marker="o", color=canvas.MUTED, fillstyle="none", markersize=5.5, clip_on=False)
    ax.text(1.21, 0.5, "zero", va="center", fontsize=SIZE - 1, color=canvas.MUTED)
    bad = tuple(part / 255 for part in BAD)
    ax.plot([1.42], [0.5], marker="s", color=bad, markersize=11, clip_on=False)
    ax.plot([1.42], [0.5], marker="x", color="#ffffff", markersize=5.5, clip_on=False)
    ax.text(1.47, 0.5, "not finite", va="center", fontsize=SIZE - 1, color=canvas.MUTED)
    ax.set_xlim(0, 1)


def _sharing(per_column: int) -> str:
    return (
        f" Each column stands for {per_column} steps and shows the most suspicious." if per_column > 1 else ""
    )


def _row(name: str, values: Float64) -> tuple[str, ...]:
    known = finite(values)
    ends = (show(values[0], ""), show(values[-1], ""))
    span = (show(known.min(), ""), show(known.max(), "")) if len(known) else ("", "")
    return (name, *ends, *span, _places(values == 0), _places(~np.isfinite(values)))


def _places(state: Array) -> str:
    """How often and from which step on: `3 steps, first 12`."""
    found = np.flatnonzero(state)
    return f"{len(found)} step{'s' * (len(found) > 1)}, first {found[0]}" if len(found) else ""


def listed(names: tuple[str, ...], state: Array, limit: int = 3) -> str:
    """The tensors (columns) for which a (T, P) state is ever true, the first few by name."""
    found = [names[index] for index in np.flatnonzero(state.any(axis=0))]
    more = f" and {len(found) - limit} more" if len(found) > limit else ""
    return f"{', '.join(found[:limit])}{more}"

"""Figures of one run, one file a figure. Each says how to read it and holds its numbers as text and table.

Only `reports.figures._canvas` imports matplotlib, and only when a trace is drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from markupsafe import Markup

from harness.model import Run

ORDER = ("loss", "baseline", "step_time", "memory", "gradients", "updates")
"""The files of this package in the order of the page."""
TRACED = ("loss", "gradients", "updates")
"""Those that show a trace; they are imported only where there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One picture with its words.

    how: one line on how to read it. numbers: the key numbers, the picture's accessible name. svg: an element.
    columns, rows: the data behind it; note: what the table leaves out.
    """

    name: str
    title: str
    how: str
    numbers: str
    svg: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    wide: bool = False


def figures_of(run: Run) -> tuple[Figure, ...]:
    """All figures that the facts of a run allow."""
    names = [name for name in ORDER if run.facts.trace is not None or name not in TRACED]
    draws: list[Callable[[Run], Figure | None]] = [import_module(f"{__name__}.{name}").draw for name in names]
    return tuple(figure for draw in draws if (figure := draw(run)) is not None)

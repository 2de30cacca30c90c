"""What the cases noticed of faults that were injected on purpose, beside what a naive gate noticed."""

from collections.abc import Iterable, Mapping
from typing import Any

from harness.matrix import Cell, Effect, Matrix, shares
from reports import Document, Page, Site

PATH = "sabotage.html"
LOOK = {
    Effect.NAMED: ("pass", "named"),
    Effect.CAUGHT: ("pass", "caught"),
    Effect.MISSED: ("fail", "missed"),
    Effect.QUIET: ("pass", "quiet"),
    Effect.FALSE_ALARM: ("fail", "false alarm"),
    Effect.NOT_APPLICABLE: ("skip", "not applicable"),
}
"""State, which is a colour, and word of each effect."""


class SabotagePage(Page):
    """`sabotage.html`, once there was a sabotage."""

    def documents(self, site: Site) -> Iterable[Document]:
        """One file, of the matrix that was recorded last."""
        if site.matrix is not None:
            matrix = site.matrix
            yield Document(path=PATH, inputs=(matrix,), content=lambda: _content(matrix))


def _content(matrix: Matrix) -> Mapping[str, Any]:
    found = shares(matrix)
    missed_everywhere = found.faults - found.caught
    return {
        "matrix": matrix,
        "shares": found,
        "status": "fail" if found.false_alarms else "pass",
        "columns": list(
            dict.fromkeys((cell.case, cell.backend) for cell in sorted(matrix.cells, key=_column))
        ),
        "areas": _areas(matrix.cells),
        "missed": missed_everywhere,
        "look": {str(effect): look for effect, look in LOOK.items()},
    }


def _column(cell: Cell) -> tuple[str, str]:
    return cell.case, cell.backend


def _areas(cells: Iterable[Cell]) -> dict[str, dict[str, dict[str, Any]]]:
    """By area, then by fault: its cells by column, and whether the naive gate noticed it anywhere."""
    areas: dict[str, dict[str, dict[str, Any]]] = {}
    for cell in cells:
        row = areas.setdefault(cell.area, {}).setdefault(
            cell.fault, {"cells": {}, "naive": False, "benign": False}
        )
        row["cells"][_column(cell)] = cell
        row["naive"] |= cell.naive
        row["benign"] |= cell.effect in (Effect.QUIET, Effect.FALSE_ALARM)
    return areas

"""Two commits side by side: what a page says of each case and metric."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.decide import Comparison, Finding, Kind
from harness.model import BrokenError, Status
from harness.units import show
from reports._files import code_digest, write
from reports._words import environment

STATES = {
    Kind.REGRESSION: Status.FAIL,
    Kind.INCONCLUSIVE: Status.ERROR,
    Kind.IMPROVEMENT: Status.PASS,
}
"""The colour of what came of a comparison; of the others nobody has to know."""
WORDS = {
    Kind.REGRESSION: "regression",
    Kind.INCONCLUSIVE: "not clear",
    Kind.IMPROVEMENT: "improvement",
    Kind.CHANGE: "change",
    Kind.SKIPPED: "too few runs",
    Kind.SAME: "same",
}
WIDTH, HEIGHT, DOT, REACH = 160.0, 14.0, 4.0, 0.25
"""Of the drawing of a shift: sizes in CSS pixels; the share at which it ends, where more stands, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric of a case. interval: from where to where its line goes; dot: where its middle stands."""

    metric: str
    kind: str
    state: Status
    before: str
    after: str
    change: str
    interval: tuple[float, float]
    dot: float
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One case on a backend. rows: its metrics, the worst first. page: of its history; '' if it has none."""

    name: str
    kind: str
    state: Status
    page: str
    runs: tuple[int, int]
    health: str
    unlike: str
    rows: tuple[Row, ...]


def write_comparison(
    commits: Sequence[str], found: Sequence[Comparison], lacking: Sequence[str], path: Path
) -> None:
    """Write a comparison as one file that stands by itself.

    Raises:
        BrokenError: the file cannot be written.
    """
    values = {"key": code_digest(), "root": "", "home": "", **content(commits, found, lacking)}
    try:
        write(path, environment().get_template("compare.html").render(values))
    except OSError as error:
        raise BrokenError(f"--html {path}: cannot be written: {error.strerror}; name another file") from error


def content(
    commits: Sequence[str],
    found: Sequence[Comparison],
    lacking: Sequence[str],
    pages: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What the template needs. commits: in words, before and after; lacking: what was not compared."""
    order = list(Kind)
    every = sorted(found, key=lambda one: (order.index(one.kind), one.case, one.backend))
    counts = Counter(one.kind for one in every)
    worst = next((kind for kind in STATES if counts[kind]), Kind.SAME)
    return {
        "commits": commits,
        "status": STATES.get(worst, Status.PASS) if every else Status.SKIP,
        "headline": _headline(counts),
        "blocks": [_block(one, pages or {}) for one in every if one.kind not in (Kind.SAME, Kind.SKIPPED)],
        "same": [_block(one, pages or {}) for one in every if one.kind in (Kind.SAME, Kind.SKIPPED)],
        "lacking": lacking,
        "size": (WIDTH, HEIGHT),
    }


def _headline(counts: Mapping[Kind, int]) -> str:
    if not counts:
        return "Nothing to compare"
    bad, good = counts.get(Kind.REGRESSION, 0), counts.get(Kind.IMPROVEMENT, 0)
    parts = [f"{bad} worse"] * (bad > 0) + [f"{good} better"] * (good > 0)
    open_ = counts.get(Kind.INCONCLUSIVE, 0)
    parts += [f"{open_} not clear"] * (open_ > 0)
    changed = counts.get(Kind.CHANGE, 0)
    parts += [f"{changed} changed"] * (changed > 0)
    rest = sum(counts.values()) - bad - good - open_ - changed
    alone = "The same" if rest == 1 else f"All {rest} the same"
    parts += [f"{rest} the same" if parts else alone] * (rest > 0)
    return ", ".join(parts)


def _block(one: Comparison, pages: Mapping[str, str]) -> Block:
    order = list(Kind)
    return Block(
        name=f"{one.case} on {one.backend}",
        kind=WORDS[one.kind],
        state=STATES.get(one.kind, Status.SKIP),
        page=pages.get(one.case, ""),
        runs=one.runs,
        health=_health(one),
        unlike=one.unlike,
        rows=tuple(_row(each) for each in sorted(one.findings, key=lambda each: order.index(each.kind))),
    )


def _health(one: Comparison) -> str:
    sides = (
        f"{status}, {bad} of {of} not healthy" if bad else str(status)
        for status, bad, of in zip(one.status, one.failed, one.runs, strict=True)
    )
    return " -> ".join(sides) if one.status[0] is not one.status[1] or any(one.failed) else ""


def _row(one: Finding) -> Row:
    exactly = ", exactly" if one.exact else ""
    known = np.isfinite([one.low, one.high]).all() and not one.exact
    between = f", {_signed(one.low)} to {_signed(one.high)}" if known else ""
    return Row(
        metric=one.metric.replace("_", " "),
        kind=WORDS[one.kind],
        state=STATES.get(one.kind, Status.SKIP),
        before=_value(one.before, one.unit),
        after=_value(one.after, one.unit),
        change=f"{_signed(one.share)}{exactly}{between}" if np.isfinite(one.share) else "",
        interval=(_place(one.low), _place(one.high)),
        dot=_place(one.share if np.isfinite(one.share) else 0.0),
        note=one.note,
    )


def _value(number: float, unit: str) -> str:
    return "" if np.isnan(number) else show(number, unit)


def _signed(share: float) -> str:
    return f"{'+' * (share > 0)}{show(share, '%')}"


def _place(share: float) -> float:
    bounded = min(max(share, -REACH), REACH)
    return round(WIDTH / 2 + (WIDTH / 2 - DOT) * bounded / REACH, 1)

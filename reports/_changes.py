"""Lasting changes of metrics in words, with where they lead to."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from harness.changes import Change
from harness.model import Status
from harness.units import show
from reports._site import Site
from reports._words import commit_text

STATES = {"regression": Status.FAIL, "improvement": Status.PASS, "change": Status.SKIP}


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A change as a row. state: the colour of its kind. page: of the first run on the new level; '' if none.

    trend: where its picture stands. commits: the one before and the one with which it began.
    """

    change: Change
    state: Status
    what: str
    page: str
    trend: str
    commits: str


def told(site: Site, changes: Iterable[Change]) -> list[Told]:
    """Changes as rows, in their order."""
    return [
        Told(
            change=change,
            state=Status.SKIP if change.healed else STATES[change.kind],
            what=change_words(change),
            page=site.run_page(change.run),
            trend=f"{site.case_page(change.case)}#{change.backend}-{change.metric}",
            commits=_commits(change),
        )
        for change in changes
    ]


def change_words(change: Change) -> str:
    """`rose 12 %, 36 ms to 41 ms`."""
    way = "rose" if change.after > change.before else "fell" if change.after < change.before else "changed"
    share = f" {show(abs(change.share), '%')}" if np.isfinite(change.share) else ""
    return f"{way}{share}, {show(change.before, change.unit)} to {show(change.after, change.unit)}"


def _commits(change: Change) -> str:
    before, first = commit_text(change.last_commit), commit_text(change.commit)
    return first if before == first else f"{before} to {first}"

"""The latest night: what is healthy, what is not and why, as a matrix of cases and backends."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.clocks import misdated, namesakes
from harness.history import METRICS, Tally
from harness.matrix import shares
from harness.model import Diagnosis, Run, Status, Verdict
from harness.quarantine import NAME, of
from harness.units import show
from reports import Document, Page, Site
from reports._since import since_last_night
from reports._site import Night
from reports._words import (
    WORST_FIRST,
    commit_of,
    first_sentence,
    headline,
    machine_of,
    overall,
    shorten,
    verdict_text,
)

REASON, CAUSE = 160, 120
"""A cell's reason and cause are cut to so many characters; the list below the matrix has them whole."""
SLOWEST = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One run in the matrix: its page, its line of reason, its first diagnosis and its quarantine."""

    run: Run
    page: str
    reason: str
    cause: str
    new: bool
    quarantine: Verdict | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A run that is not healthy, with all that is known about it.

    lines: the checks that failed or broke with their sentences, or the reason when none was asked.
    since: the oldest run of the streak, with its page. times: how long it is. commits: of that run, and of
    the healthy one before it ('' where there is none). quarantine: what was said.
    """

    run: Run
    page: str
    lines: tuple[tuple[str, str], ...]
    diagnoses: tuple[Diagnosis, ...]
    since: Run
    since_page: str
    commits: tuple[str, str]
    times: int
    quarantine: Verdict | None


class NightPage(Page):
    """`index.html`."""

    def documents(self, site: Site) -> Iterable[Document]:
        """One file, also when nothing has run."""
        shown = [_brief(run) for night in site.nights for run in night.runs]
        missing = [night.missing for night in site.nights[:1]]
        pages = sorted(site.pages_of.items())
        inputs = (shown, site.tallies, pages, missing, site.matrix, site.rebases)
        yield Document(path="index.html", inputs=inputs, content=lambda: _content(site))


def _brief(run: Run) -> tuple[object, ...]:
    """What stands for a recorded run, which never changes."""
    return run.id, run.session, run.status


def _content(site: Site) -> Mapping[str, Any]:
    night = site.nights[0] if site.nights else None
    runs = night.runs if night else ()
    return {
        "night": night,
        "status": overall(runs),
        "headline": headline(runs),
        "commits": sorted({commit_of(run) for run in runs}),
        "machines": sorted({machine_of(run) for run in runs}),
        "notes": list(_notes(site)),
        "since": since_last_night(site),
        "backends": _columns(runs),
        "rows": _matrix(site, runs),
        "failing": _troubles(site, runs, Status.FAIL),
        "errors": _troubles(site, runs, Status.ERROR),
        "power": shares(site.matrix) if site.matrix else None,
        "times": _times(site, runs),
        "nights": [_past(older) for older in site.nights[1:]],
        "case_pages": {case: site.case_page(case) for case in site.cases()},
        "others": _others(site, {run.case for run in runs}),
        "kept": sum(tally.runs for tally in site.tallies),
        "rebases": len(site.rebases),
    }


def _notes(site: Site) -> Iterable[str]:
    """What dates and names of machines tell against the order and the series of the nights that are shown."""
    runs = [run for night in site.nights for run in night.runs]
    wrong = misdated(runs, math.inf)
    if wrong:
        yield (
            f"{len(wrong)} of {len(runs)} runs are dated before the commit that they measured: "
            "a clock was wrong; what changed, and since when, is told without them."
        )
    for host in namesakes(runs):
        yield f"Host {host[:8]} is the name of several machines: their times are in one series."


def _matrix(site: Site, runs: Iterable[Run]) -> dict[str, dict[str, Cell]]:
    """Cells by case and backend. Of several runs of one cell the newest counts."""
    rows: dict[str, dict[str, Cell]] = {}
    for run in sorted(runs, key=lambda run: (run.case, run.started, run.id)):
        rows.setdefault(run.case, {})[run.backend] = _cell(site, run)
    return rows


def _columns(runs: Iterable[Run]) -> list[str]:
    """Backends, the one that most cases use first: on a narrow screen it is the one in sight."""
    count = Counter(run.backend for run in runs)
    return sorted(count, key=lambda backend: (-count[backend], backend))


def _cell(site: Site, run: Run) -> Cell:
    before = site.before(run)
    return Cell(
        run=run,
        page=site.run_page(run.id),
        reason=shorten(_reason(run), REASON),
        cause=shorten(first_sentence(run.diagnoses[0].cause), CAUSE) if run.diagnoses else "",
        new=run.status in (Status.FAIL, Status.ERROR) and before is not None and before.status is Status.PASS,
        quarantine=of(run),
    )


def _reason(run: Run) -> str:
    """Why a run is not healthy, in one line; for a healthy one, how far its loss fell."""
    if run.status is Status.PASS:
        drop = METRICS["loss_drop"].read(run)
        return "" if drop is None else f"loss {'rose' if drop < 0 else 'fell'} {show(abs(drop), '%')}"
    return run.message or run.reason.replace("_", " ")


def _troubles(site: Site, runs: Iterable[Run], status: Status) -> list[Trouble]:
    return [_trouble(site, run) for run in runs if run.status is status]


def _trouble(site: Site, run: Run) -> Trouble:
    streak, before = site.streak(run), site.before(site.streak(run)[-1])
    healthy = before is not None and before.status is Status.PASS
    lines = [(verdict.check, verdict_text(verdict)) for verdict in _bad(run.verdicts)]
    whole = (run.reason.replace("_", " ") or str(run.status), run.message or str(run.facts.outcome))
    return Trouble(
        run=run,
        page=site.run_page(run.id),
        lines=tuple(lines or [whole]),
        diagnoses=run.diagnoses,
        since=streak[-1],
        since_page=site.run_page(streak[-1].id),
        commits=(commit_of(streak[-1]), commit_of(before) if before is not None and healthy else ""),
        times=len(streak),
        quarantine=of(run),
    )


def _bad(verdicts: Iterable[Verdict]) -> list[Verdict]:
    judged = [verdict for verdict in verdicts if verdict.check != NAME]
    bad = [verdict for verdict in judged if verdict.status in (Status.FAIL, Status.ERROR)]
    return sorted(bad, key=lambda verdict: WORST_FIRST.index(verdict.status))


def _times(site: Site, runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The slowest runs of the night with the times that they recorded."""
    slowest = sorted(runs, key=lambda run: (-run.seconds, run.id))[:SLOWEST]
    names = ("startup_time", "step_time")
    return [
        {
            "run": run,
            "page": site.run_page(run.id),
            **{name: METRICS[name].read(run) for name in names},
        }
        for run in slowest
        if run.status is not Status.SKIP
    ]


def _past(night: Night) -> dict[str, Any]:
    return {
        "night": night,
        "status": overall(night.runs),
        "headline": headline(night.runs),
        "commits": sorted({commit_of(run) for run in night.runs}),
    }


def _others(site: Site, tonight: set[str]) -> list[Tally]:
    """The newest run of each cell whose case was not asked this time."""
    return [tally for tally in site.tallies if tally.case not in tonight]

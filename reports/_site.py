"""What the pages have in common: nights, what became of each case, and where each page lies.

The nights that a page shows are read whole, all else lightly and only when a page has to be written anew: one
more run among tens of thousands costs what its own night and its own case cost.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.changes import TOLD, Change, changes_in
from harness.clocks import well_dated
from harness.history import RunRow, Series, Tally, all_series
from harness.ledger import Entry
from harness.matrix import Matrix
from harness.model import Run, Status
from harness.news import Session
from reports._files import slug

NIGHTS = 14
"""So many sessions are read whole."""
KEPT = 1000
"""The newest so many runs keep the page that they once got."""


class Runs(Protocol):
    """Where the runs are. `harness.store.Store` is one."""

    def recent(self, limit: int) -> Sequence[Session]:
        """The sessions that began last, newest first, among those that have runs."""
        ...

    def runs(self, *, session: Collection[str]) -> Iterable[Run]:
        """Every run of some sessions, without its trace."""
        ...

    def tallies(self) -> Iterable[Tally]:
        """Each case and backend with the number of its runs and the newest of them."""
        ...

    def newest(self, limit: int) -> Iterable[tuple[str, str]]:
        """Case and id of so many runs, newest first."""
        ...

    def history(self, case: str, /) -> Iterable[RunRow]:
        """Every run of a case by time, as lightly as it goes."""
        ...

    def run(self, run_id: str, /) -> Run:
        """One run with its trace."""
        ...

    def matrix(self) -> Matrix | None:
        """The sabotage matrix that was recorded last."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Night:
    """One session: the runs that were started together, by case and backend.

    missing: runs that were planned and are not on record, when the session did not come to its end.
    """

    session: Session
    runs: tuple[Run, ...]
    missing: int = 0

    @property
    def started(self) -> float:
        """When the first run started, seconds since the epoch."""
        return min(run.started for run in self.runs)

    @property
    def seconds(self) -> float:
        """From the start of the first run to the end of the last."""
        return max(run.started + run.seconds for run in self.runs) - self.started


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """What became of a case.

    runs: newest first. cells: the same by backend. series: by metric, one for each kind of run, by time.
    changes: the lasting ones, by time.
    """

    runs: tuple[RunRow, ...]
    cells: Mapping[str, tuple[RunRow, ...]]
    series: Mapping[str, tuple[Series, ...]]
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """All that pages need but the traces.

    nights: newest first, at most `NIGHTS`. tallies: of every case and backend, by name. drawn: ids of the
    runs whose page is written. pages: of those that have one; pages_of: the same by case. matrix: of the last
    sabotage, if there was one. rebases: what the ledgers say, by time.
    """

    source: Runs
    nights: tuple[Night, ...]
    tallies: tuple[Tally, ...]
    matrix: Matrix | None = None
    rebases: tuple[Entry, ...] = ()
    drawn: frozenset[str] = frozenset()
    pages: frozenset[str] = frozenset()
    pages_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _pasts: dict[str, Past] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, source: Runs, there: Collection[str] = (), rebases: Iterable[Entry] = ()) -> "Site":
        """The site of a source. there: names of the run pages that lie in the folder already.

        Every run of the newest session has a page, and so has the first of each failure that lasts.

        Raises:
            HarnessError: the source cannot be read.
        """
        nights, tallies = _nights(source), tuple(source.tallies())
        every: Any = {"source": source, "nights": nights, "tallies": tallies}
        every |= {"matrix": source.matrix(), "rebases": tuple(rebases)}
        drawn = dict(_told(cls(**every)))
        kept = {run: case for case, run in source.newest(KEPT) if slug(run) in there} if there else {}
        pages = kept | drawn
        return cls(**every, drawn=frozenset(drawn), pages=frozenset(pages), pages_of=_by_case(pages))

    def cases(self) -> list[str]:
        """The names of all cases."""
        return list(dict.fromkeys(tally.case for tally in self.tallies))

    def run_page(self, run: str) -> str:
        """Where a run's page lies, from the site's root; empty when it has none."""
        return f"runs/{slug(run)}.html" if run in self.pages else ""

    def case_page(self, case: str) -> str:
        """Where a case's page lies, from the site's root."""
        return f"cases/{slug(case)}.html"

    def commits(self) -> dict[str, list[Run]]:
        """Runs by time of each commit in the nights that are shown, the newest commit first.

        What was measured with uncommitted changes belongs to none.
        """
        groups: dict[str, list[Run]] = {}
        for night in self.nights:
            for run in night.runs:
                if run.environment.get("commit") and run.environment.get("dirty") is False:
                    groups.setdefault(run.environment["commit"], []).insert(0, run)
        return groups

    def whole(self, case: str, backend: str) -> Run | None:
        """The newest run of a cell with its verdicts, if a night that is shown has one."""
        every = (run for night in self.nights for run in night.runs)
        return next((run for run in every if (run.case, run.backend) == (case, backend)), None)

    def past(self, case: str) -> Past:
        """What became of a case; read when it is first asked for."""
        if case not in self._pasts:
            self._pasts[case] = _past(self.source.history(case))
        return self._pasts[case]

    def streak(self, run: Run) -> tuple[Run, ...]:
        """The run and those of its cell before it, as long as they have the same status, newest first."""
        older = self._older(run)
        ends = next((at for at, other in enumerate(older) if other.status is not run.status), len(older))
        return (run, *older[:ends])

    def before(self, run: Run) -> Run | None:
        """The run of the same cell before this one that was judged."""
        return next((other for other in self._older(run) if other.status is not Status.SKIP), None)

    def _older(self, run: Run) -> tuple[RunRow, ...]:
        cell = self.past(run.case).cells[run.backend]
        return tuple(other for other in cell if (other.started, other.id) < (run.started, run.id))


def _told(site: Site) -> Iterable[tuple[str, str]]:
    for run in site.nights[0].runs if site.nights else ():
        yield run.id, run.case
        if run.status in (Status.FAIL, Status.ERROR):
            yield site.streak(run)[-1].id, run.case


def _by_case(runs: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for run, case in sorted(runs.items()):
        groups.setdefault(case, []).append(run)
    return {case: tuple(found) for case, found in groups.items()}


def _nights(source: Runs) -> tuple[Night, ...]:
    sessions = source.recent(NIGHTS)
    groups: dict[str, list[Run]] = {session.id: [] for session in sessions}
    for run in source.runs(session=list(groups)):
        groups[run.session].append(run)
    return tuple(_night(session, groups[session.id]) for session in sessions)


def _night(session: Session, runs: Sequence[Run]) -> Night:
    ordered = tuple(sorted(runs, key=lambda run: (run.case, run.backend, run.id)))
    stopped = session.finished is None and isinstance(session.plan, Sized)
    planned = len(session.plan) if stopped else 0
    return Night(session=session, runs=ordered, missing=max(planned - len(runs), 0))


def _past(history: Iterable[RunRow]) -> Past:
    by_time = list(history)
    dated = well_dated(by_time)
    series = all_series(dated, TOLD)
    cells: dict[str, list[RunRow]] = {}
    for run in reversed(by_time):
        cells.setdefault(run.backend, []).append(run)
    return Past(
        runs=tuple(reversed(by_time)),
        cells={backend: tuple(runs) for backend, runs in sorted(cells.items())},
        series=series,
        changes=changes_in(series, dated),
    )

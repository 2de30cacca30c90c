"""What the pages have in common: runs as nights, cells and streaks, and where each page lies."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol, TypeVar

from harness.matrix import Matrix
from harness.model import Run, Status
from reports._files import slug

K = TypeVar("K")
Cell = tuple[str, str]
"""A case's name and a backend's: one cell of the matrix."""


class Session(Protocol):
    """What is known of a session besides its runs."""

    @property
    def id(self) -> str:
        """The name that its runs bear."""
        ...

    @property
    def finished(self) -> float | None:
        """When it came to its end; None when it has not."""
        ...

    @property
    def plan(self) -> Any:
        """What was to be run: a list with an entry a run."""
        ...


class Runs(Protocol):
    """Where the runs are. `harness.store.Store` is one."""

    def sessions(self) -> Iterable[Session]:
        """Every session."""
        ...

    def runs(self) -> Iterable[Run]:
        """Every run without its trace."""
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

    session: str
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
class Site:
    """All that pages need but the traces.

    nights: newest first. cases: the runs of each case, newest first. cells: of each cell, newest first.
    drawn: ids of the runs that have a page. matrix: of the last sabotage, if there was one.
    """

    source: Runs
    nights: tuple[Night, ...]
    cases: Mapping[str, tuple[Run, ...]]
    cells: Mapping[Cell, tuple[Run, ...]]
    drawn: frozenset[str]
    matrix: Matrix | None = None

    @classmethod
    def read(cls, source: Runs, drawn: int) -> "Site":
        """Group the runs. The newest session has run pages; older ones too while these are at most `drawn`.

        Raises:
            HarnessError: the source cannot be read.
        """
        runs = sorted(source.runs(), key=lambda run: (run.started, run.id), reverse=True)
        nights = _nights(runs, {session.id: session for session in source.sessions()})
        counts = accumulate(len(night.runs) for night in nights)
        shown = [night for night, count in zip(nights, counts, strict=True) if count <= drawn] or nights[:1]
        return cls(
            source=source,
            nights=nights,
            cases=_grouped((run.case, run) for run in runs),
            cells=_grouped(((run.case, run.backend), run) for run in runs),
            drawn=frozenset(run.id for night in shown for run in night.runs),
            matrix=source.matrix(),
        )

    def run_page(self, run: Run) -> str:
        """Where a run's page lies, from the site's root; empty when it has none."""
        return f"runs/{slug(run.id)}.html" if run.id in self.drawn else ""

    def case_page(self, case: str) -> str:
        """Where a case's page lies, from the site's root."""
        return f"cases/{slug(case)}.html"

    def streak(self, run: Run) -> tuple[Run, ...]:
        """The run and those of its cell before it, as long as they have the same status, newest first."""
        history = self.cells[run.case, run.backend]
        before = history[history.index(run) :]
        ends = next(
            (index for index, other in enumerate(before) if other.status is not run.status), len(before)
        )
        return before[:ends]

    def before(self, run: Run) -> Run | None:
        """The run of the same cell before this one that was judged."""
        history = self.cells[run.case, run.backend]
        older = history[history.index(run) + 1 :]
        return next((other for other in older if other.status is not Status.SKIP), None)


def _nights(runs: Sequence[Run], sessions: Mapping[str, Session]) -> tuple[Night, ...]:
    by_session = _grouped((run.session, run) for run in runs)
    return tuple(_night(session, found, sessions.get(session)) for session, found in by_session.items())


def _night(name: str, runs: Sequence[Run], session: Session | None) -> Night:
    ordered = tuple(sorted(runs, key=lambda run: (run.case, run.backend, run.id)))
    stopped = session is not None and session.finished is None and isinstance(session.plan, Sized)
    planned = len(session.plan) if session is not None and stopped else 0
    return Night(session=name, runs=ordered, missing=max(planned - len(runs), 0))


def _grouped(pairs: Iterable[tuple[K, Run]]) -> dict[K, tuple[Run, ...]]:
    groups: defaultdict[K, list[Run]] = defaultdict(list)
    for key, run in pairs:
        groups[key].append(run)
    return {key: tuple(found) for key, found in groups.items()}

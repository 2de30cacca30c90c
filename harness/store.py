"""Where runs are kept: any database that SQLAlchemy knows, by default SQLite in `out/history.sqlite`.

All of a run's rows are written in one transaction: whoever dies at any moment leaves the whole run or none.
The rest of the suite sees only the types of `harness.model`, `RunRow` and `Session`.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Engine, Table, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from harness.case_files import CaseFile, add_case_files, case_file_of, folders_of
from harness.database import guarded, open_engine, prepare, reading, shown, writing
from harness.history import METRICS, RunRow, Tally
from harness.matrix import Matrix
from harness.model import HarnessError, Run, Trace
from harness.queries import chunked, light_rows, tallies, trace_of, values_of
from harness.rows import Digests, Row, rows_of
from harness.sessions import Session, matrix_of, session_of
from harness.tables import ENVIRONMENT, MATRIX, RUN, SESSION

DEFAULT = Path("out/history.sqlite")
MOST_LISTED = 8


def open_store(where: str | Path = DEFAULT, *, create: bool = True) -> "Store":
    """Open the store at a path or an SQLAlchemy URL, making it if need be; use it in a `with` statement.

    Raises:
        HarnessError: an unknown kind of database, a missing driver, a store of a newer version; without
            `create`, no store there.
        BrokenError: it is damaged, cannot be written, or the disk is full.
    """
    engine = open_engine(where, create=create)
    try:
        prepare(engine)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine)


class Store:
    """Runs and sessions. Safe to use from several processes at once, each with a store of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._environments: dict[str, Mapping[str, Any]] = {}

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    @property
    def where(self) -> str:
        """The store's name for messages."""
        return shown(self._engine)

    def begin(self, session: Session) -> None:
        """Record that a session has begun.

        Raises:
            HarnessError: there is a session of that id.
        """
        names = ("id", "started", "finished", "command", "plan", "plan_digest", "checkout")
        row = {name: getattr(session, name) for name in names}
        with guarded(self._engine):
            try:
                with writing(self._engine) as connection:
                    connection.execute(insert(SESSION), [row])
            except IntegrityError as error:
                raise HarnessError(f"store {self.where}: session '{session.id}' has already begun") from error

    def finish(self, session_id: str, when: float | None = None) -> None:
        """Record that a session came to its end (seconds since the epoch; now by default).

        Raises:
            HarnessError: there is no such session.
        """
        finished = time.time() if when is None else when
        statement = update(SESSION).where(SESSION.c.id == session_id).values(finished=finished)
        with guarded(self._engine), writing(self._engine) as connection:
            if connection.execute(statement).rowcount != 1:
                raise HarnessError(f"store {self.where}: there is no session '{session_id}'")

    def sessions(self) -> tuple[Session, ...]:
        """All sessions in the order of time."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(SESSION).order_by(SESSION.c.started, SESSION.c.id)).mappings()
            return tuple(session_of(dict(row)) for row in rows)

    def unfinished(self, plan_digest: str | None = None) -> Session | None:
        """The latest session that did not come to its end, of this plan if given."""
        statement = select(SESSION).where(SESSION.c.finished.is_(None))
        if plan_digest is not None:
            statement = statement.where(SESSION.c.plan_digest == plan_digest)
        with reading(self._engine) as connection:
            latest = statement.order_by(SESSION.c.started.desc(), SESSION.c.id.desc()).limit(1)
            row = connection.execute(latest).mappings().first()
            return None if row is None else session_of(dict(row))

    def add(self, run: Run) -> None:
        """Record one run, whole or not at all.

        Raises:
            HarnessError: a run of that id is there already, or its session has not begun.
        """
        self.add_many((run,))

    def add_many(self, runs: Iterable[Run]) -> None:
        """Record runs in one transaction: all of them or none.

        Raises:
            HarnessError: as `add`.
        """
        runs = tuple(runs)
        digests = Digests()
        rows: dict[Table, list[Row]] = defaultdict(list)
        for run in runs:
            for table, more in rows_of(run, digests).items():
                rows[table] += more
        with guarded(self._engine):
            try:
                with writing(self._engine) as connection:
                    _add_environments(connection, digests.environments)
                    for table, more in rows.items():
                        if more:
                            connection.execute(insert(table), more)
            except IntegrityError as error:
                self._refuse(runs)
                raise HarnessError(f"store {self.where}: runs refused: {error.orig}") from error

    def keep(self, cases: Iterable[CaseFile]) -> None:
        """Record what cases say, each once: runs can then be replayed when their files have changed."""
        with guarded(self._engine), writing(self._engine) as connection:
            add_case_files(connection, cases)

    def case_file(self, name: str, digest: str) -> CaseFile | None:
        """What a case said when it had this digest, if it was kept."""
        with reading(self._engine) as connection:
            return case_file_of(connection, name, digest)

    def case_folders(self) -> tuple[str, ...]:
        """The folders in which kept cases lay, by name: their baselines lie there, too."""
        with reading(self._engine) as connection:
            return tuple(sorted(folders_of(connection)))

    def add_matrix(self, matrix: Matrix) -> None:
        """Record what the cases made of the faults."""
        with guarded(self._engine), writing(self._engine) as connection:
            connection.execute(insert(MATRIX), [asdict(matrix)])

    def matrix(self) -> Matrix | None:
        """The sabotage matrix that was recorded last."""
        with reading(self._engine) as connection:
            newest = select(MATRIX).order_by(MATRIX.c.started.desc(), MATRIX.c.id.desc()).limit(1)
            row = connection.execute(newest).mappings().first()
            return None if row is None else matrix_of(row)

    def run(self, run_id: str) -> Run:
        """A run with all its facts, by its id or the beginning of it.

        Raises:
            HarnessError: no run or more than one begins so.
        """
        with reading(self._engine) as connection:
            found = self._match(connection, run_id)
            row = connection.execute(select(RUN).where(RUN.c.id == found)).mappings().one()
            (values,) = values_of(connection, [dict(row)], samples=True)
            facts = replace(values["facts"], trace=trace_of(connection, found))
            return Run(**{**values, "facts": facts})

    def trace(self, run_id: str) -> Trace | None:
        """A run's trace, if it has one; ids as in `run`."""
        with reading(self._engine) as connection:
            return trace_of(connection, self._match(connection, run_id))

    def runs(
        self,
        *,
        case: str | None = None,
        backend: str | None = None,
        session: str | Collection[str] | None = None,
        limit: int | None = None,
        samples: bool = False,
    ) -> tuple[RunRow, ...]:
        """Runs without traces and by default without samples, by time; limit keeps the newest.

        session: an id, or several.
        """
        sessions = [session] if isinstance(session, str) else session
        wanted = {RUN.c.case: case, RUN.c.backend: backend}
        statement = select(RUN).where(
            *(column == value for column, value in wanted.items() if value is not None),
            *([] if sessions is None else [RUN.c.session.in_(sorted(sessions))]),
        )
        newest = statement.order_by(RUN.c.started.desc(), RUN.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            rows = [dict(row) for row in connection.execute(newest).mappings()][::-1]
            found = zip(rows, values_of(connection, rows, samples=samples), strict=True)
            return tuple(RunRow(**{**values, **_losses(row)}) for row, values in found)

    def history(self, case: str | None = None) -> tuple[RunRow, ...]:
        """Every run, of this case if given, by time and as lightly as it goes.

        It says who, when, what came of it, and `METRICS`; verdicts, diagnoses, answers, details, samples and
        traces are left out: `runs` and `run` have them.
        """
        with reading(self._engine) as connection:
            return tuple(light_rows(connection, METRICS, case, self._environments))

    def tallies(self) -> tuple[Tally, ...]:
        """Each case and backend with the number of its runs and the newest of them, by name."""
        with reading(self._engine) as connection:
            return tuple(tallies(connection))

    def newest(self, limit: int) -> tuple[tuple[str, str], ...]:
        """Case and id of so many runs, newest first."""
        newest = select(RUN.c.case, RUN.c.id).order_by(RUN.c.started.desc(), RUN.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return tuple((case, run) for case, run in connection.execute(newest))

    def recent(self, limit: int) -> tuple[Session, ...]:
        """The sessions that began last, newest first, among those that have runs."""
        with_runs = select(SESSION).where(SESSION.c.id.in_(select(RUN.c.session)))
        with reading(self._engine) as connection:
            ordered = with_runs.order_by(SESSION.c.started.desc(), SESSION.c.id.desc()).limit(limit)
            return tuple(session_of(dict(row)) for row in connection.execute(ordered).mappings())

    def latest(self) -> tuple[RunRow, ...]:
        """The runs of the session that began last, among those that have any."""
        return self.runs(session=[session.id for session in self.recent(1)])

    def _match(self, connection: Connection, run_id: str) -> str:
        if connection.execute(select(RUN.c.id).where(RUN.c.id == run_id)).first():
            return run_id  # by its key; what follows reads the whole table
        begins: ColumnElement[bool] = func.substr(RUN.c.id, 1, len(run_id)) == run_id
        statement = select(RUN.c.id).where(begins).order_by(RUN.c.id).limit(MOST_LISTED + 1)
        ids: Sequence[str] = connection.execute(statement).scalars().all()
        if not ids:
            raise HarnessError(f"store {self.where}: no run '{run_id}'; `harness history` lists them")
        if len(ids) == 1:
            return ids[0]
        listed = ", ".join(ids[:MOST_LISTED]) + ", ..." * (len(ids) > MOST_LISTED)
        raise HarnessError(f"store {self.where}: '{run_id}' begins several runs, expected one of: {listed}")

    def _refuse(self, runs: Sequence[Run]) -> None:
        """Say which run or session the database refused."""
        ids = [run.id for run in runs]
        begun = {session.id for session in self.sessions()}
        with reading(self._engine) as connection:
            known = {row["id"] for row in chunked(connection, select(RUN.c.id), RUN.c.id, ids)}
        again = [run for index, run in enumerate(ids) if run in known or run in ids[:index]]
        if again:
            raise HarnessError(
                f"store {self.where}: run '{again[0]}' is already recorded; runs are never replaced"
            )
        for run in runs:
            if run.session not in begun:
                raise HarnessError(
                    f"store {self.where}: session '{run.session}' of run '{run.id}' has not begun"
                )


def _losses(row: Row) -> dict[str, float | None]:
    return {name: row[name] for name in ("first_loss", "final_loss", "loss_drop")}


def _add_environments(connection: Connection, environments: Mapping[str, Mapping[str, Any]]) -> None:
    """Insert what is not there yet; another process may insert the same at the same time."""
    digest_column = ENVIRONMENT.c.digest
    found = chunked(connection, select(digest_column), digest_column, [*environments])
    known = {row["digest"] for row in found}
    for key in environments.keys() - known:
        try:
            with connection.begin_nested():
                connection.execute(insert(ENVIRONMENT), [{"digest": key, "json": dict(environments[key])}])
        except IntegrityError:  # on servers only: SQLite has one writer at a time
            continue

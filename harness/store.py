"""Where runs are kept: any database that SQLAlchemy knows, by default SQLite in `out/history.sqlite`.

All of a run's rows are written in one transaction: whoever dies at any moment leaves the whole run or none.
The rest of the suite sees only the types of `harness.model`, `RunRow` and `Session`.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from harness.archive import Archive
from harness.case_files import CaseFile, add_case_files
from harness.collector import paused
from harness.database import guarded, open_engine, prepare, reading, writing
from harness.inserts import insert_rows
from harness.matrix import Matrix
from harness.model import HarnessError, Run
from harness.queries import chunked
from harness.rows import Digests, Row, rows_of
from harness.sessions import Session
from harness.tables import ENVIRONMENT, MATRIX, RUN, SESSION

DEFAULT = Path("out/history.sqlite")


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


class Store(Archive):
    """Runs and sessions. Safe to use from several processes at once, each with a store of its own."""

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

    def begin(self, *sessions: Session) -> None:
        """Record that sessions have begun: all of them or none.

        Raises:
            HarnessError: there is a session of such an id.
        """
        names = ("id", "started", "finished", "command", "plan", "plan_digest", "checkout")
        rows = [{name: getattr(session, name) for name in names} for session in sessions]
        with guarded(self._engine):
            try:
                with writing(self._engine) as connection:
                    insert_rows(connection, SESSION, rows)
            except IntegrityError as error:
                ids = "', '".join(session.id for session in sessions)
                raise HarnessError(f"store {self.where}: session '{ids}' has already begun") from error

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
        with guarded(self._engine), paused():
            try:
                with writing(self._engine) as connection:
                    _add_runs(connection, runs)
            except IntegrityError as error:
                self._refuse(runs)
                raise HarnessError(f"store {self.where}: runs refused: {error.orig}") from error

    def keep(self, cases: Iterable[CaseFile]) -> None:
        """Record what cases say, each once: runs can then be replayed when their files have changed."""
        with guarded(self._engine), writing(self._engine) as connection:
            add_case_files(connection, cases)

    def add_matrix(self, matrix: Matrix) -> None:
        """Record what the cases made of the faults."""
        with guarded(self._engine), writing(self._engine) as connection:
            connection.execute(insert(MATRIX), [asdict(matrix)])

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


def _add_runs(connection: Connection, runs: Iterable[Run]) -> None:
    digests = Digests()
    rows: dict[Table, list[Row]] = defaultdict(list)
    for run in runs:
        for table, more in rows_of(run, digests).items():
            rows[table] += more
    _add_environments(connection, digests.environments)
    for table, more in rows.items():
        if more:
            insert_rows(connection, table, more)


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

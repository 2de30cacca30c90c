"""Reading what is recorded. `harness.store.Store` is an archive that can be written, too."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from harness.case_files import CaseFile, case_file_of, folders_of
from harness.database import reading, shown
from harness.history import METRICS, RunRow, Tally
from harness.matrix import Matrix
from harness.model import HarnessError, Run, Trace
from harness.queries import light_rows, tallies, trace_of, values_of
from harness.rows import Row
from harness.sessions import Session, matrix_of, session_of
from harness.tables import MATRIX, RUN, SESSION

MOST_LISTED = 8


class Archive:
    """What is recorded, for reading."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._environments: dict[str, Mapping[str, Any]] = {}

    @property
    def where(self) -> str:
        """The store's name for messages."""
        return shown(self._engine)

    def sessions(self) -> tuple[Session, ...]:
        """All sessions in the order of time."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(SESSION).order_by(SESSION.c.started, SESSION.c.id)).mappings()
            return tuple(session_of(dict(row)) for row in rows)

    def recent(self, limit: int) -> tuple[Session, ...]:
        """The sessions that began last, newest first, among those that have runs."""
        with_runs = select(SESSION).where(SESSION.c.id.in_(select(RUN.c.session)))
        with reading(self._engine) as connection:
            ordered = with_runs.order_by(SESSION.c.started.desc(), SESSION.c.id.desc()).limit(limit)
            return tuple(session_of(dict(row)) for row in connection.execute(ordered).mappings())

    def unfinished(self, plan_digest: str | None = None) -> Session | None:
        """The latest session that did not come to its end, of this plan if given."""
        statement = select(SESSION).where(SESSION.c.finished.is_(None))
        if plan_digest is not None:
            statement = statement.where(SESSION.c.plan_digest == plan_digest)
        with reading(self._engine) as connection:
            latest = statement.order_by(SESSION.c.started.desc(), SESSION.c.id.desc()).limit(1)
            row = connection.execute(latest).mappings().first()
            return None if row is None else session_of(dict(row))

    def case_file(self, name: str, digest: str) -> CaseFile | None:
        """What a case said when it had this digest, if it was kept."""
        with reading(self._engine) as connection:
            return case_file_of(connection, name, digest)

    def case_folders(self) -> tuple[str, ...]:
        """The folders in which kept cases lay, by name: their baselines lie there, too."""
        with reading(self._engine) as connection:
            return tuple(sorted(folders_of(connection)))

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

    def runs(  # noqa: PLR0913 - by what runs are asked for
        self,
        *,
        case: str | None = None,
        backend: str | None = None,
        session: str | Collection[str] | None = None,
        commits: Collection[str] | None = None,
        limit: int | None = None,
        samples: bool = False,
    ) -> tuple[RunRow, ...]:
        """Runs without traces and by default without samples, by time; limit keeps the newest.

        session: an id, or several. commits: hashes.
        """
        sessions = [session] if isinstance(session, str) else session
        equal = {RUN.c.case: case, RUN.c.backend: backend}
        among = {RUN.c.session: sessions, RUN.c.commit: commits}
        statement = select(RUN).where(
            *(column == value for column, value in equal.items() if value is not None),
            *(column.in_(sorted(values)) for column, values in among.items() if values is not None),
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

    def commits(self, begin: str) -> tuple[str, ...]:
        """The hashes of recorded commits that begin so."""
        begins = RUN.c.commit.startswith(begin, autoescape=True)
        with reading(self._engine) as connection:
            return tuple(connection.execute(select(RUN.c.commit).where(begins).distinct()).scalars())

    def newest(self, limit: int) -> tuple[tuple[str, str], ...]:
        """Case and id of so many runs, newest first."""
        newest = select(RUN.c.case, RUN.c.id).order_by(RUN.c.started.desc(), RUN.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return tuple((case, run) for case, run in connection.execute(newest))

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


def _losses(row: Row) -> dict[str, float | None]:
    return {name: row[name] for name in ("first_loss", "final_loss", "loss_drop")}

"""Reading the store's tables: the rows of many runs, a few statements in all. For `harness.store` only."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from harness.codec import SAME, problem_from_dict, unpack_trace
from harness.history import RunRow, Tally
from harness.model import Facts, Measurement, Outcome, ProblemFacts, Status, Trace
from harness.rows import Row, diagnosis_of, measurement_of, run_values, verdict_of
from harness.tables import DIAGNOSIS, ENVIRONMENT, MEASUREMENT, RUN, TRACE, VERDICT

CHUNK = 500
"""Keys in one statement: databases limit how many values a statement may carry."""

Value = TypeVar("Value")
STATUSES, OUTCOMES = {str(one): one for one in Status}, {str(one): one for one in Outcome}

LIGHT = (
    *(RUN.c[name] for name in SAME),
    RUN.c.status,
    RUN.c.outcome,
    RUN.c.parameters,
    RUN.c.problem_digest,
    RUN.c.environment,
    RUN.c.worker_environment,
    RUN.c.first_loss,
    RUN.c.final_loss,
    RUN.c.loss_drop,
)
"""The columns of a run that its history needs; what is long and differs from run to run is not among them."""


def chunked(
    connection: Connection, statement: Select[Any], key: ColumnElement[str], keys: Sequence[str]
) -> Iterator[Row]:
    """The statement's rows whose key is one of these, in its order within each chunk of keys."""
    for start in range(0, len(keys), CHUNK):
        rows = connection.execute(statement.where(key.in_(keys[start : start + CHUNK]))).mappings()
        yield from (dict(row) for row in rows)


def trace_of(connection: Connection, run_id: str) -> Trace | None:
    """A run's trace, if it has one."""
    data = connection.execute(select(TRACE.c.data).where(TRACE.c.run == run_id)).scalar()
    return None if data is None else unpack_trace(data)


def light_rows(
    connection: Connection,
    names: Collection[str],
    case: str | None,
    environments: dict[str, Mapping[str, Any]],
) -> list[RunRow]:
    """Every run, of this case if given, by time with the measurements of these names and nothing long.

    Equal environments and problems are one object each: tens of thousands of runs share a few hundred.

    environments: those that are known already, by digest; what is read is added.
    """
    measured = _measured(connection, names, case)
    of_case = [] if case is None else [RUN.c.case == case]
    rows = connection.execute(select(*LIGHT).where(*of_case).order_by(RUN.c.started, RUN.c.id)).all()
    wanted = {key for row in rows for key in (row.environment, row.worker_environment)}
    environments |= _environments(connection, wanted.difference(environments))
    problems = _problems(connection, of_case)
    return [_light(row, measured.get(row[0], {}), environments, problems) for row in rows]


def tallies(connection: Connection) -> list[Tally]:
    """Each case and backend with the number of its runs and the newest of them, by name."""
    counts = (
        select(RUN.c.case, RUN.c.backend, func.count().label("runs"), func.max(RUN.c.started).label("newest"))
        .group_by(RUN.c.case, RUN.c.backend)
        .subquery()
    )
    same = (counts.c.case == RUN.c.case, counts.c.backend == RUN.c.backend, counts.c.newest == RUN.c.started)
    columns = (RUN.c.case, RUN.c.backend, counts.c.runs, RUN.c.id, RUN.c.started, RUN.c.status)
    rows = connection.execute(select(*columns).join(counts, and_(*same)).order_by(*columns[:2], RUN.c.id))
    return list(
        {
            (case, backend): Tally(
                case=case, backend=backend, runs=runs, newest=run, started=started, status=Status(status)
            )
            for case, backend, runs, run, started, status in rows
        }.values()
    )


def _measured(
    connection: Connection, names: Collection[str], case: str | None
) -> dict[str, dict[str, Measurement]]:
    columns = (MEASUREMENT.c.run, MEASUREMENT.c.name, MEASUREMENT.c.value, MEASUREMENT.c.unit)
    # not by the key's second half: one look through what a run has is faster than one look for each name
    wanted = select(*columns).where(func.coalesce(MEASUREMENT.c.name, "").in_(sorted(names)))
    if case is not None:
        wanted = wanted.where(MEASUREMENT.c.run.in_(select(RUN.c.id).where(RUN.c.case == case)))
    found: defaultdict[str, dict[str, Measurement]] = defaultdict(dict)
    for run, name, value, unit in connection.execute(wanted).all():
        found[run][name] = Measurement(name=name, value=value, unit=unit)
    return found


def _problems(connection: Connection, of_case: Sequence[ColumnElement[bool]]) -> dict[str, ProblemFacts]:
    """One run of each problem tells what it is."""
    firsts = select(func.min(RUN.c.id)).where(*of_case).group_by(RUN.c.problem_digest)
    found = connection.execute(select(RUN.c.problem_digest, RUN.c.problem).where(RUN.c.id.in_(firsts)))
    return {digest: problem_from_dict(problem) for digest, problem in found if problem is not None}


def _light(
    row: Sequence[Any],
    measurements: Mapping[str, Measurement],
    environments: Mapping[str, Mapping[str, Any]],
    problems: Mapping[str, ProblemFacts],
) -> RunRow:
    """A row of `LIGHT` as a run. By place: tens of thousands of them are read at once."""
    *same, status, outcome, parameters, problem, where, worker, first, final, drop = row
    facts = Facts(
        outcome=OUTCOMES[outcome],
        parameters=parameters,
        problem=problems.get(problem),
        measurements=measurements,
        environment=environments[worker],
    )
    return RunRow(
        **dict(zip(SAME, same, strict=True)),
        status=STATUSES[status],
        environment=environments[where],
        facts=facts,
        first_loss=first,
        final_loss=final,
        loss_drop=drop,
    )


def values_of(connection: Connection, rows: Sequence[Mapping[str, Any]], *, samples: bool) -> list[Row]:
    """The arguments of `Run` for each row of the run table, without traces."""
    ids = [row["id"] for row in rows]
    columns = [column for column in MEASUREMENT.c if samples or column.name != "samples"]
    by_run = partial(_by_run, connection, ids)
    measurements = by_run(
        select(*columns).order_by(MEASUREMENT.c.position), MEASUREMENT.c.run, measurement_of
    )
    verdicts = by_run(select(VERDICT).order_by(VERDICT.c.position), VERDICT.c.run, verdict_of)
    diagnoses = by_run(select(DIAGNOSIS).order_by(DIAGNOSIS.c.rank), DIAGNOSIS.c.run, diagnosis_of)
    keys = {row[name] for row in rows for name in ("environment", "worker_environment")}
    environments = _environments(connection, keys)
    return [
        run_values(row, environments, measurements[run], verdicts[run], diagnoses[run])
        for row, run in zip(rows, ids, strict=True)
    ]


def _by_run(
    connection: Connection,
    ids: Sequence[str],
    statement: Select[Any],
    run: ColumnElement[str],
    make: Callable[[Row], Value],
) -> Mapping[str, list[Value]]:
    groups: dict[str, list[Value]] = defaultdict(list)
    for row in chunked(connection, statement, run, ids):
        groups[row["run"]].append(make(row))
    return groups


def _environments(connection: Connection, keys: Collection[str]) -> dict[str, Mapping[str, Any]]:
    found = chunked(connection, select(ENVIRONMENT), ENVIRONMENT.c.digest, sorted(keys))
    return {row["digest"]: row["json"] for row in found}

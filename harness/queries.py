"""Reading the store's tables: the rows of many runs, a few statements in all. For `harness.store` only."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, select

from harness.codec import unpack_trace
from harness.model import Trace
from harness.rows import Row, diagnosis_of, measurement_of, run_values, verdict_of
from harness.tables import DIAGNOSIS, ENVIRONMENT, MEASUREMENT, TRACE, VERDICT

CHUNK = 500
"""Keys in one statement: databases limit how many values a statement may carry."""

Value = TypeVar("Value")


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
    environments = _environments(connection, rows)
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


def _environments(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    keys = {row[name] for row in rows for name in ("environment", "worker_environment")}
    found = chunked(connection, select(ENVIRONMENT), ENVIRONMENT.c.digest, sorted(keys))
    return {row["digest"]: row["json"] for row in found}

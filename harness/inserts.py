"""Many rows into one table. For `harness.store` only."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import sqlite

from harness.rows import Row

SQLITE = sqlite.dialect()

Convert = Callable[[Any], Any] | None


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, all of the same keys.

    For SQLite their values are converted here, column by column, and given to the driver at once: SQLAlchemy
    converts row by row, which takes longer than SQLite itself. The drivers of servers have their own ways
    to take many rows, which SQLAlchemy knows.

    Raises:
        IntegrityError: a row is there already, or refers to one that is not.
    """
    if connection.dialect.name != SQLITE.name:
        connection.execute(insert(table), rows)
        return
    sql, converters = _prepared(table, frozenset(rows[0]))
    columns = (_converted(rows, name, convert) for name, convert in converters.items())
    connection.exec_driver_sql(sql, list(zip(*columns, strict=True)))


@cache
def _prepared(table: Table, names: frozenset[str]) -> tuple[str, dict[str, Convert]]:
    """The statement, and for each of its places in their order what makes a value the driver's."""
    statement = insert(table).compile(dialect=SQLITE, column_keys=sorted(names))
    types = {name: table.c[name].type.dialect_impl(SQLITE) for name in statement.positiontup or ()}
    return str(statement), {name: of.bind_processor(SQLITE) for name, of in types.items()}


def _converted(rows: Sequence[Row], name: str, convert: Convert) -> list[Any]:
    if convert is None:
        return [row[name] for row in rows]
    return [convert(row[name]) for row in rows]

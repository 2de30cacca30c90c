"""The tables of the store. Only `harness.store` and `harness.rows` use them.

One row a run, measurement, verdict and diagnosis; fingerprints once each; traces apart, few want them.
"""

import math
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

from harness.plain import dumps, loads

KEY_CHARACTERS = 255


class Real(TypeDecorator[float]):
    """A float64 that may be NaN. SQLite turns NaN into NULL, so there it is kept as the text 'nan'.

    The processors of `Double` are replaced, not extended: they would make a number of that text again.
    """

    impl = Double
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Python to database."""
        return _nan_as_text if dialect.name == "sqlite" else _float_or_none

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], float | None]:
        """Database to Python."""
        del dialect, coltype
        return _float_or_none


def _float_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


def _nan_as_text(value: Any) -> float | str | None:
    number = _float_or_none(value)
    return "nan" if number is not None and math.isnan(number) else number


class Words(TypeDecorator[str]):
    """Text from anywhere: what UTF-8 cannot hold (lone surrogates from a log's raw bytes) is escaped.

    So are NUL characters where the database takes none.
    """

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:
        """Python to database."""
        return _clean_text if dialect.name == "sqlite" else _clean_text_without_nul


def _clean_text(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _clean_text_without_nul(value: Any) -> str | None:
    text = _clean_text(value)
    return None if text is None else text.replace("\0", "\\0")


class Json(TypeDecorator[Any]):
    """JSON in a text column with NaN and infinities, which no database's own JSON type takes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Python to database."""
        del dialect
        return None if value is None else dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Database to Python."""
        del dialect
        return None if value is None else loads(value)


def _key() -> String:
    return String(KEY_CHARACTERS)


def _of_run() -> Column[str]:
    return Column("run", _key(), ForeignKey("run.id"), primary_key=True)


METADATA = MetaData()
META = Table("meta", METADATA, Column("schema_version", Integer, primary_key=True, autoincrement=False))
SESSION = Table(
    "session",
    METADATA,
    Column("id", _key(), primary_key=True),
    Column("started", Double, nullable=False, index=True),
    Column("finished", Double),
    Column("command", Json, nullable=False),
    Column("plan", Json),
    Column("plan_digest", _key(), nullable=False),
    Column("checkout", Json, nullable=False),
)
ENVIRONMENT = Table(
    "environment",
    METADATA,
    Column("digest", _key(), primary_key=True),
    Column("json", Json, nullable=False),
)
RUN = Table(
    "run",
    METADATA,
    Column("id", _key(), primary_key=True),
    Column("session", _key(), ForeignKey("session.id"), nullable=False, index=True),
    Column("case", _key(), nullable=False),
    Column("backend", _key(), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("case_digest", _key(), nullable=False),
    Column("problem_digest", _key()),
    Column("commit", _key()),
    Column("dirty", Boolean),
    Column("environment", _key(), ForeignKey("environment.digest"), nullable=False),
    Column("worker_environment", _key(), ForeignKey("environment.digest"), nullable=False),
    Column("started", Double, nullable=False, index=True),
    Column("seconds", Real, nullable=False),
    Column("status", _key(), nullable=False),
    Column("reason", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("outcome", _key(), nullable=False),
    Column("phase", Words, nullable=False),
    Column("facts_message", Words, nullable=False),
    Column("detail", Words, nullable=False),
    Column("parameters", BigInteger),
    Column("first_loss", Real),
    Column("final_loss", Real),
    Column("loss_drop", Real),
    Column("problem", Json),
    Column("answers", Json, nullable=False),
    Index("run_case_backend_started", "case", "backend", "started"),
)
CASE_FILE = Table(
    "case_file",
    METADATA,
    Column("name", _key(), primary_key=True),
    Column("digest", _key(), primary_key=True),
    Column("path", Words, nullable=False),
    Column("raw", Json, nullable=False),
)
MEASUREMENT = Table(
    "measurement",
    METADATA,
    _of_run(),
    Column("name", _key(), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("value", Real, nullable=False),
    Column("unit", Words, nullable=False),
    Column("samples", LargeBinary, nullable=False),
)
VERDICT = Table(
    "verdict",
    METADATA,
    _of_run(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("check", _key(), nullable=False),
    Column("status", _key(), nullable=False),
    Column("observed", Real),
    Column("observed_text", Words),
    Column("expected", Words, nullable=False),
    Column("unit", Words, nullable=False),
    Column("step", BigInteger),
    Column("tensor", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("message", Words, nullable=False),
)
DIAGNOSIS = Table(
    "diagnosis",
    METADATA,
    _of_run(),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("name", _key(), nullable=False),
    Column("cause", Words, nullable=False),
    Column("remedy", Words, nullable=False),
    Column("weight", Real, nullable=False),
    Column("step", BigInteger),
    Column("tensor", Words, nullable=False),
    Column("evidence", Json, nullable=False),
)
TRACE = Table("trace", METADATA, _of_run(), Column("data", LargeBinary, nullable=False))
MATRIX = Table(
    "matrix",
    METADATA,
    Column("id", _key(), primary_key=True),
    Column("started", Double, nullable=False, index=True),
    Column("seconds", Real, nullable=False),
    Column("healthy_runs", Integer, nullable=False),
    Column("alarms", Json, nullable=False),
    Column("cells", Json, nullable=False),
    Column("checkout", Json, nullable=False),
)

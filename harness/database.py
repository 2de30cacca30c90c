"""Connections of the store: opening, schema versions, and database errors as one clear line each.

SQLite: write-ahead log, so that readers and a writer need not wait; `BEGIN IMMEDIATE` to write,
so that a second writer waits (30 s) instead of failing half-way; foreign keys on. Python's driver would begin
transactions in its own way, hence the two listeners, which SQLAlchemy documents for this purpose.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from harness.model import BrokenError, HarnessError
from harness.tables import CASE_FILE, META, METADATA

BUSY_SECONDS = 30.0

Migration = Callable[[Connection], None]


def _with_case_files(connection: Connection) -> None:
    CASE_FILE.create(connection, checkfirst=True)


MIGRATIONS: tuple[Migration, ...] = (_with_case_files,)
"""The n-th, counted from 1, takes a store from schema version n to n + 1. Append only; released ones stay."""

ADVICE = (
    ("not a database", "it is no harness store; pass another --store"),
    ("malformed", "the file is damaged; move it away or restore a copy"),
    ("disk is full", "free some space, then run again with --resume"),
    ("disk i/o error", "check the disk, then run again with --resume"),
    ("readonly", "make the file and its folder writable, or pass another --store"),
    ("unable to open", "make the folder writable, or pass another --store"),
    ("locked", f"another process kept it locked for {BUSY_SECONDS:.0f} s; run again with --resume"),
    ("resolve host", "check the address of the server"),
    ("connection", "check that the server runs and takes connections"),
    ("no such", "its tables are not those of a harness store; pass another --store"),
)


def open_engine(where: str | Path, *, create: bool) -> Engine:
    """An engine for a path or an SQLAlchemy URL; makes the folder of an SQLite file.

    Raises:
        HarnessError: no URL, an unknown scheme, a missing driver, a folder; without `create`, no such file.
        BrokenError: the folder cannot be made.
    """
    url = _url(where)
    _prepare_file(url, create=create)
    name = url.render_as_string(hide_password=True)
    options = {"connect_args": {"timeout": BUSY_SECONDS}} if url.get_backend_name() == "sqlite" else {}
    try:
        engine = create_engine(url, **options)
    except NoSuchModuleError as error:
        what = f"unknown database '{url.drivername}', expected sqlite, postgresql, mysql or the like"
        raise HarnessError(f"store {name}: {what}") from error
    except ImportError as error:
        raise HarnessError(f"store {name}: the database driver is missing ({error}); install it") from error
    except (SQLAlchemyError, TypeError) as error:
        raise HarnessError(
            f"store {name}: {_first_line(error)}; expected a path or an SQLAlchemy URL"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def shown(engine: Engine) -> str:
    """A store's name for messages: the path of an SQLite file, else its URL without the password."""
    file = _file(engine.url)
    return engine.url.render_as_string(hide_password=True) if file is None else str(file)


def prepare(engine: Engine, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Create the tables, or bring an older store up to this version; whole or not at all.

    Raises:
        HarnessError: a newer version wrote the store, or it is somebody else's database.
        BrokenError: it cannot be read or written.
    """
    with guarded(engine):
        if _is_current(engine, migrations):
            return
        try:
            _bring_up_to_date(engine, migrations)
        except SQLAlchemyError:
            # Servers let two processes create the same tables at once; then the other one was quicker.
            if not _is_current(engine, migrations):
                raise


def _is_current(engine: Engine, migrations: tuple[Migration, ...]) -> bool:
    current = 1 + len(migrations)
    with engine.connect() as connection:
        return _version(connection, engine, current) == current


def _bring_up_to_date(engine: Engine, migrations: tuple[Migration, ...]) -> None:
    current = 1 + len(migrations)
    with writing(engine) as connection:
        version = _version(connection, engine, current)  # asked again: another process may have been quicker
        if version == 0:
            METADATA.create_all(connection)
            connection.execute(insert(META).values(schema_version=current))
        for migration in migrations[version - 1 :] if version else ():
            migration(connection)
        connection.execute(update(META).values(schema_version=current))


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the store; errors as `guarded` gives them."""
    with guarded(engine), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that is committed whole, or not at all when anything is raised."""
    with engine.execution_options(immediate=True).begin() as connection:
        yield connection


@contextmanager
def guarded(engine: Engine) -> Iterator[None]:
    """Turn database errors into one line with advice.

    Raises:
        BrokenError: the database cannot be read or written.
    """
    try:
        yield
    except SQLAlchemyError as error:
        said = _first_line(getattr(error, "orig", None) or error)
        advice = next(
            (advice for words, advice in ADVICE if words in said.lower()), "see the database's own log"
        )
        raise BrokenError(f"store {shown(engine)}: {said}; {advice}") from error
    except json.JSONDecodeError as error:
        raise BrokenError(
            f"store {shown(engine)}: holds broken JSON ({error}); the store is damaged"
        ) from error


def _version(connection: Connection, engine: Engine, current: int) -> int:
    """The schema version of a store; 0 when there are no tables yet."""
    names = set(inspect(connection).get_table_names())
    if META.name in names:
        version = connection.execute(select(META.c.schema_version)).scalar_one_or_none()
        return _checked(version, engine, current)
    # An SQLite file is ours alone; on a server, other tables beside ours are none of our business.
    foreign = names if engine.dialect.name == "sqlite" else names & METADATA.tables.keys()
    if foreign:
        table = min(foreign)
        raise HarnessError(
            f"store {shown(engine)}: holds a table '{table}' that is not ours; pass another --store"
        )
    return 0


def _checked(version: Any, engine: Engine, current: int) -> int:
    if not isinstance(version, int) or version < 1:
        raise BrokenError(f"store {shown(engine)}: has no schema version; the store is damaged, move it away")
    if version > current:
        raise HarnessError(
            f"store {shown(engine)}: written by a newer version (schema {version}, this one reads up to "
            f"{current}); upgrade training-harness or pass another --store"
        )
    return version


def _url(where: str | Path) -> URL:
    text = str(where)
    if "://" not in text:
        return URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        return make_url(text)
    except ArgumentError as error:
        raise HarnessError(f"store: {_first_line(error)}; expected a path or an SQLAlchemy URL") from error


def _file(url: URL) -> Path | None:
    """The file of an SQLite URL; None for memory, for SQLite's own URIs and for servers."""
    database = url.database or ":memory:"
    special = url.get_backend_name() != "sqlite" or database == ":memory:" or database.startswith("file:")
    return None if special else Path(database)


def _prepare_file(url: URL, *, create: bool) -> None:
    file = _file(url)
    if file is None:
        return
    if file.is_dir():
        raise HarnessError(f"store {file}: is a folder, expected a file such as {file / 'history.sqlite'}")
    if not create and not file.exists():
        raise HarnessError(f"store {file}: there is none yet; `harness run` makes it")
    try:
        _make_folder(file.parent)
    except OSError as error:
        reason = error.strerror or error
        raise BrokenError(f"store {file}: cannot make its folder: {reason}; pass another --store") from error


def _make_folder(folder: Path) -> None:
    """One that we make is none of git's business: what is recorded there must not make a checkout dirty."""
    ours = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if ours:
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin in `_begin_sqlite` only
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=NORMAL")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _first_line(error: object) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0] or type(error).__name__

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from recorded import make_run, same
from sqlalchemy import event, text

from harness import database
from harness.case_files import CaseFile
from harness.model import BrokenError, HarnessError
from harness.sessions import Session
from harness.store import open_store


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "out" / "history.sqlite") as store:
        store.begin(Session(id="s1", started=1.0))
        yield store


def rows(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def file_of(store):
    return Path(store.where)


def said_by(where, **options):
    with pytest.raises(HarnessError) as error:
        open_store(where, **options)
    assert "\n" not in str(error.value)
    return error.value.exit_code, str(error.value)


def test_the_same_store_by_path_and_by_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_store("new/history.sqlite") as store:
        store.begin(Session(id="s1", started=1.0))
        assert store.where == "new/history.sqlite"
    for where in (
        "sqlite:///new/history.sqlite",
        f"sqlite:///{tmp_path}/new/history.sqlite",
        Path("new/history.sqlite"),
    ):
        with open_store(where, create=False) as store:
            assert [session.id for session in store.sessions()] == ["s1"]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {".gitignore", "history.sqlite"}


def test_a_store_in_memory():
    with open_store("sqlite://") as store:
        store.begin(Session(id="s1", started=1.0))
        store.add(make_run())
        assert same(store.run("r1"), make_run())
        assert store.where == "sqlite://"


def test_a_store_of_a_newer_version_is_refused_untouched(store):
    store.add(make_run())
    with closing(sqlite3.connect(store.where)) as connection, connection:
        connection.execute("UPDATE meta SET schema_version = 7")
    assert said_by(store.where) == (
        2,
        (
            f"store {store.where}: written by a newer version (schema 7, this one reads up to 2); upgrade "
            "training-harness or pass another --store"
        ),
    )
    assert rows(store.where, "SELECT schema_version FROM meta") == [(7,)]


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("These are my notes.\n" * 100)
    assert said_by(path) == (
        3,
        f"store {path}: file is not a database; it is no harness store; pass another --store",
    )
    assert path.read_text() == "These are my notes.\n" * 100


def test_a_damaged_file_says_so(store):
    store.add_many(make_run(f"r{number}") for number in range(20))
    store.close()
    content = bytearray(file_of(store).read_bytes())
    content[4096:-4096] = b"\xff" * (len(content) - 8192)
    file_of(store).write_bytes(content)
    with pytest.raises(BrokenError, match=r"malformed; the file is damaged; move it away or restore a copy$"):
        open_store(store.where).runs()


def test_damaged_json_and_traces_say_so(store):
    store.add(make_run())
    with closing(sqlite3.connect(store.where)) as connection, connection:
        connection.execute("UPDATE trace SET data = x'00'")
        connection.execute("UPDATE run SET answers = '{'")
    with pytest.raises(BrokenError, match="the record is damaged"):
        store.trace("r1")
    with pytest.raises(BrokenError, match=r"holds broken JSON \(.*\); the store is damaged$"):
        store.runs()


@pytest.mark.parametrize("change", ["DELETE FROM meta", "UPDATE meta SET schema_version = 0"])
def test_a_store_without_its_version_is_damaged(store, change):
    with closing(sqlite3.connect(store.where)) as connection, connection:
        connection.execute(change)
    assert said_by(store.where) == (
        3,
        f"store {store.where}: has no schema version; the store is damaged, move it away",
    )


def test_somebody_elses_database_is_left_alone(tmp_path):
    path = tmp_path / "bookmarks.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    assert said_by(path) == (
        2,
        f"store {path}: holds a table 'bookmarks' that is not ours; pass another --store",
    )
    assert rows(path, "SELECT name FROM sqlite_master") == [("bookmarks",)]


def test_somebody_elses_meta_table(tmp_path):
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE meta (key TEXT)")
    assert said_by(path) == (
        3,
        (
            f"store {path}: no such column: meta.schema_version; its tables are not those of a harness "
            "store; pass another --store"
        ),
    )


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "below" / "history.sqlite"
    assert said_by(path) == (
        3,
        f"store {path}: cannot make its folder: Not a directory; pass another --store",
    )


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    path = tmp_path / "out" / "history.sqlite"
    assert said_by(path) == (
        3,
        f"store {path}: cannot make its folder: Permission denied; pass another --store",
    )


def test_a_store_that_cannot_be_written(store):
    event.listen(store._engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    store.close()
    with pytest.raises(
        BrokenError, match=r"attempt to write a readonly database; make the file and its folder writable"
    ):
        store.add(make_run())


def test_a_folder_instead_of_a_file(tmp_path):
    assert said_by(tmp_path) == (
        2,
        f"store {tmp_path}: is a folder, expected a file such as {tmp_path}/history.sqlite",
    )


def test_a_store_that_is_not_there(tmp_path):
    path = tmp_path / "none" / "history.sqlite"
    assert said_by(path, create=False) == (2, f"store {path}: there is none yet; `harness run` makes it")
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "cassandra://host/x",
            "store cassandra://host/x: unknown database 'cassandra', expected sqlite, postgresql, ",
        ),
        (
            "sqlite+none:///x",
            "store sqlite+none:///x: unknown database 'sqlite+none', expected sqlite, postgresql, ",
        ),
        ("postgresql+none://me:secret@host/x", "store postgresql+none://me:***@host/x: unknown database "),
        ("://x", "store: Could not parse SQLAlchemy URL from "),
        ("sqlite://out/x.sqlite", "store sqlite://out/x.sqlite: Invalid SQLite URL: sqlite://out/x.sqlite"),
    ],
)
def test_urls_that_name_no_database(url, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text_ = said_by(url)
    assert text_.startswith(said)
    assert "secret" not in text_
    assert code == 2


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    code, said = said_by("postgresql+psycopg2://me:secret@host/runs")
    assert code == 2
    assert said.startswith("store postgresql+psycopg2://me:***@host/runs: the database driver is missing (")
    assert said.endswith("; install it")


# --- older stores ---


def version_of(store):
    return rows(store.where, "SELECT schema_version FROM meta")


def add_column(connection):
    connection.execute(text("ALTER TABLE run ADD COLUMN note TEXT"))


def test_an_older_store_is_brought_up_to_date_once(store):
    store.add(make_run())
    more = (*database.MIGRATIONS, add_column)
    for _ in range(2):
        database.prepare(store._engine, more)
    assert version_of(store) == [(1 + len(more),)]
    assert rows(store.where, "SELECT id, note FROM run") == [("r1", None)]


def test_a_migration_that_fails_changes_nothing(store):
    def fail(connection):
        add_column(connection)
        connection.execute(text("ALTER TABLE nowhere ADD COLUMN note TEXT"))

    with pytest.raises(BrokenError, match="no such table: nowhere"):
        database.prepare(store._engine, (*database.MIGRATIONS, fail))
    assert version_of(store) == [(1 + len(database.MIGRATIONS),)]
    assert "note" not in {row[1] for row in rows(store.where, "PRAGMA table_info(run)")}


def test_a_server_on_which_another_process_made_the_tables_first(tmp_path, monkeypatch):
    bring_up = database._bring_up_to_date

    def slower(engine, migrations):
        bring_up(engine, migrations)
        bring_up(engine, migrations)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE meta (schema_version INTEGER)"))

    monkeypatch.setattr(database, "_bring_up_to_date", slower)
    with open_store(tmp_path / "new.sqlite") as store:
        assert version_of(store) == [(1 + len(database.MIGRATIONS),)]


def test_a_store_of_the_first_version_gets_what_it_lacks(store):
    store.add(make_run())
    with store._engine.begin() as connection:
        connection.execute(text("DROP TABLE case_file"))
        connection.execute(text("UPDATE meta SET schema_version = 1"))
    store.close()
    with open_store(store.where) as again:
        assert version_of(again) == [(2,)]
        assert [run.id for run in again.runs()] == ["r1"]
        again.keep([CaseFile(name="x", digest="d", path="cases/x.yaml", raw={"schema": 1})])
        assert again.case_file("x", "d").raw == {"schema": 1}
        assert again.case_file("x", "e") is None


def test_a_new_store_needs_no_migration(tmp_path):
    engine = database.open_engine(tmp_path / "new.sqlite", create=True)
    database.prepare(engine, (add_column,))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT schema_version FROM meta")).scalar() == 2
    engine.dispose()

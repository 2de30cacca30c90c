import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from recorded import make_run, same
from sqlalchemy import event, text

from harness import database
from harness.model import BrokenError, HarnessError
from harness.sessions import Session
from harness.store import open_store

CHILD = """
import sys
sys.path.insert(0, sys.argv[3])
from recorded import make_run
from harness.sessions import Session
from harness.store import open_store

name = sys.argv[2]
with open_store(sys.argv[1]) as store:
    store.begin(Session(id=name, started=1.0))
    for number in range(int(sys.argv[4])):
        store.add(make_run(f"{name}-{number}", session=name, environment={"machine": number % 3}))
        print(number, flush=True)
    store.finish(name, 2.0)
"""


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "out" / "history.sqlite") as store:
        store.begin(Session(id="s1", started=1.0))
        yield store


def child(path, name, runs):
    arguments = [sys.executable, "-c", CHILD, str(path), name, str(Path(__file__).parent), str(runs)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def file_of(store):
    return Path(store.where)


def test_runs_are_never_replaced(store):
    store.add(make_run(message="first"))
    with pytest.raises(HarnessError, match=r"run 'r1' is already recorded; runs are never replaced$"):
        store.add_many([make_run("r0"), make_run(message="second")])
    assert [(run.id, run.message) for run in store.runs()] == [("r1", "first")]


def test_the_same_run_twice_in_one_batch(store):
    with pytest.raises(HarnessError, match="run 'r2' is already recorded"):
        store.add_many([make_run("r1"), make_run("r2"), make_run("r2")])
    assert store.runs() == ()


def test_a_run_needs_its_session(store):
    with pytest.raises(HarnessError, match=r"session 's9' of run 'r1' has not begun$"):
        store.add(make_run(session="s9"))
    assert store.runs() == ()


def test_nothing_to_add(store):
    store.add_many([])
    assert store.runs() == ()


def broken_pieces(path):
    """Runs that lack some of their rows, and what SQLite itself finds wrong."""
    tables = {"measurement": 3, "verdict": 3, "diagnosis": 2, "trace": 1}
    found = [
        (table, run)
        for table, due in tables.items()
        for run, held in rows(path, f"SELECT id, (SELECT count(*) FROM {table} WHERE run = run.id) FROM run")
        if held != due
    ]
    return (
        found
        + rows(path, "PRAGMA foreign_key_check")
        + [row for row in rows(path, "PRAGMA integrity_check") if row != ("ok",)]
    )


def test_two_processes_write_at_once_into_a_new_store(tmp_path):
    path = tmp_path / "history.sqlite"
    writers = [child(path, name, 40) for name in ("a", "b", "c")]
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors
    with open_store(path) as store:
        assert {run.id for run in store.runs()} == {
            f"{name}-{number}" for name in "abc" for number in range(40)
        }
        assert [session.finished for session in store.sessions()] == [2.0] * 3
        assert same(store.run("b-7"), make_run("b-7", session="b", environment={"machine": 1}))
    assert broken_pieces(path) == []


def test_killed_at_any_moment_leaves_whole_runs(tmp_path):
    path = tmp_path / "history.sqlite"
    for round_, reports in enumerate((1, 4, 9, 23)):
        name = f"k{round_}"
        with child(path, name, 1_000_000) as writer:
            said = [writer.stdout.readline() for _ in range(reports)]
            writer.kill()
        assert [int(line) for line in said] == list(range(reports))
        with open_store(path) as store:
            kept = store.runs(session=name)
            assert len(kept) >= reports
            assert {run.id for run in kept} == {f"{name}-{number}" for number in range(len(kept))}
            assert store.unfinished().id == name
            store.finish(name)
            assert same(
                store.run(kept[-1].id), make_run(kept[-1].id, session=name, environment=kept[-1].environment)
            )
    assert broken_pieces(path) == []


def test_full_disk_loses_nothing_that_was_there(store):
    store.add(make_run("r0"))
    pages = rows(file_of(store), "PRAGMA page_count")[0][0]
    limit = lambda connection, _: connection.execute(f"PRAGMA max_page_count={pages + 8}")  # noqa: E731
    store.close()
    event.listen(store._engine, "connect", limit)
    with pytest.raises(BrokenError) as error:
        store.add_many(make_run(f"r{number}") for number in range(1, 200))
    assert str(error.value) == (
        f"store {store.where}: database or disk is full; free some space, then run again with --resume"
    )
    assert error.value.exit_code == 3
    assert same(store.run("r0"), make_run("r0"))
    assert len(store.runs()) == 1
    assert broken_pieces(file_of(store)) == []


def test_a_lock_that_is_never_given_back(store, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    with open_store(store.where) as impatient, closing(sqlite3.connect(store.where)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            BrokenError, match=r"database is locked; another process kept it locked for 30 s; run again"
        ):
            impatient.add(make_run())
        holder.rollback()
        impatient.add(make_run())


def test_readers_see_the_store_while_another_writes(store):
    store.add(make_run())
    with closing(sqlite3.connect(store.where, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM trace")
        assert same(store.run("r1"), make_run())
        writer.execute("ROLLBACK")


def test_the_file_is_in_write_ahead_mode_with_foreign_keys_on(store):
    with store._engine.connect() as connection:
        values = [
            connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous")
        ]
    assert values == ["wal", 1, 1]

"""Whatever is wrong with input or machine: one clear line, exit code 2 or 3, nothing lost, no traceback."""

import hashlib
import json
import re
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tiny import write

from harness import database
from harness.cli import main
from harness.store import open_store

STORE = Path("out/history.sqlite")
TEXT = ("data: {markov: {}}", "data: {text: some.txt, tokenizer: bytes}")
BYTES = ("vocab: 8", "vocab: 256")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def call(capsys):
    """Exit code and the lines on standard error; none of them is of a traceback."""

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.err.splitlines()

    return call


@pytest.fixture
def refused(call):
    """`lint` and `run` refuse a case file with the same line, and nothing is run."""

    def refused():
        code, lines = call("lint")
        assert call("run") == (2, lines)
        assert (code, len(lines)) == (2, 1)
        assert not Path("out").exists()
        return lines[0].removeprefix("cases/tiny.yaml:")

    return refused


def outside(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def recorded(store=STORE):
    """Case and status of every run, once the database has been found whole."""
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    with open_store(store) as found:
        for row in found.runs():
            assert found.run(row.id).facts.trace.steps == 3, "a run is there whole or not at all"
        return [(run.case, run.status.value) for run in found.runs()]


# Case files.


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # Malformed YAML.
        ("layers: 1, heads: 2}", "layers: 1, heads: 2", r"6:\d+: not YAML: .*"),
        ("  sequence: 4", "\tsequence: 4", r"8:1: not YAML: .*; indent with spaces, not tabs"),
        ("about: A tiny decoder.", "about: a: b", r"2:9: not YAML: mapping values are not allowed .*"),
        ("schema: 1", "- 1", r".*not YAML.*|.*expected a mapping.*"),
        # Unknown and duplicate keys.
        ("expect:", "expct: {}\nexpect:", r"13:1: expct: unknown key; did you mean 'expect'\?"),
        ("heads: 2", "head: 2, heads: 2", r"5:44: model\.decoder\.head: unknown key; did you mean 'heads'\?"),
        ("parameters: 920", "{parameters: 920, los_drop: {at_least: 3%}}",
         r"14:21: expect\.los_drop: unknown key; did you mean 'loss_drop'\?"),
        ("  batch: 2", "  batch: 2\n  batch: 4", r"10:3: batch: duplicate key; the first is in line 9"),
        # Impossible values.
        ("heads: 2", "heads: 3", r"5:3: model\.decoder: heads \(3\) must divide width \(8\)"),
        ("steps: 3", "steps: 0", r"10:3: config\.steps: expected >= 1, got 0"),
        ("steps: 3", "steps: 2.5", r"10:3: config\.steps: expected a whole number, got 2\.5"),
        ("lr: 0.1", "lr: -0.1", r"11:21: config\.optimizer\.sgd\.lr: expected >= 0, got -0\.1"),
        ("lr: 0.1", "lr: .nan", r"11:21: config\.optimizer\.sgd\.lr: expected a finite number, got nan"),
        ("lr: 0.1", "lr: .inf", r"11:21: config\.optimizer\.sgd\.lr: expected a finite number, got inf"),
        ("lr: 0.1", "lr: '0.1'", r"11:21: config\.optimizer\.sgd\.lr: expected a number, got '0\.1'"),
        ("batch: 2", "{batch: 2}", r".*not YAML.*"),
        ("parameters: 920", "loss_drop: {at_least: 60%, at_most: 3%}",
         r"14:3: expect\.loss_drop: at_least \(0\.6\) lies above at_most \(0\.03\)"),
        ("parameters: 920", "loss_drop: {}", r"14:3: expect\.loss_drop: give at least one of .*"),
        # Names that nothing bears.
        ("[numpy_float64]", "[numpy_float46]",
         r"12:12: backends\[0\]: unknown backend 'numpy_float46'; did you mean 'numpy_float64'\?"),
        ("parameters: 920", "gradients: {embeding: {norm: [0, 9]}}",
         r"14:15: expect\.gradients\.embeding: matches no tensor; did you mean 'embedding'\?"),
        ("parameters: 920", 'weights: {"layers.0.*": {norm: [0, 9]}, "blocks.*": {norm: [0, 9]}}',
         r"14:43: expect\.weights\.blocks\.\*: matches no tensor; the model has embedding, .*, \.\.\."),
    ],
)  # fmt: skip
def test_case_files(refused, old, new, message):
    write("tiny", (old, new))
    line = refused()
    assert re.fullmatch(message, line), line


def test_patterns_are_looked_at_on_one_backend_too_and_in_what_a_case_extends(call):
    write("base")
    Path("cases/child.yaml").write_text(
        "schema: 1\nextends: base.yaml\nabout: Another.\n"
        "expect_on:\n  numpy_float64:\n    gradients: {'mlp': {dead: 0%}}\n"
    )
    Path("cases/base.yaml").write_text(
        Path("cases/base.yaml").read_text() + "  weights: {'*.up': {norm: [0, 9]}}\n"
    )
    code, lines = call("lint")
    assert code == 2
    assert [line.partition(";")[0] for line in lines] == [
        "cases/base.yaml:15:13: expect.weights.*.up: matches no tensor",
        "cases/child.yaml:6:17: expect_on.numpy_float64.gradients.mlp: matches no tensor",
    ]


def test_a_model_too_large_to_list_is_no_mistake_and_no_wait(call):
    write("tiny", ("layers: 1", "layers: 1000000000"), ("parameters: 920", "weights: {x: {norm: [0, 9]}}"))
    assert call("lint") == (0, [])


def test_a_case_file_that_is_not_utf8(refused):
    path = write()
    path.write_bytes(path.read_bytes().replace(b"A tiny", b"A t\xefny"))
    assert refused() == "2:11: byte 0xef is not UTF-8; save the file as UTF-8"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read 'cases/some.txt': No such file or directory; name it relative to"),
        (b"", "'some.txt' is empty"),
        (b"abcd", "text has 4 tokens, one sample needs 5"),
    ],
)
def test_texts(refused, content, message):
    write("tiny", TEXT, BYTES)
    if content is not None:
        Path("cases/some.txt").write_bytes(content)
    assert refused().startswith(f"7:10: config.data.text: {message}")


def test_a_text_that_is_not_utf8(refused):
    write("tiny", (TEXT[0], "data: {text: some.txt}"))
    Path("cases/some.txt").write_bytes(b"caf\xe9 au lait")
    assert refused().startswith("7:10: config.data.text: 'some.txt' is not UTF-8 at byte offset 3")


def test_all_mistakes_of_all_files_at_once(call):
    write("a", ("steps: 3", "steps: 0"), ("lr: 0.1", "lr: -1"))
    write("b", ("heads: 2", "heads: 3"))
    write("c")
    code, lines = call("run")
    assert code == 2
    assert [line.split(": ")[0] for line in lines] == [
        "cases/a.yaml:10:3",
        "cases/a.yaml:11:21",
        "cases/b.yaml:5:3",
    ]
    assert not Path("out").exists()


# Folders and files that cannot be written.


def test_output_below_a_file(call):
    write()
    Path("file").touch()
    said = "store file/history.sqlite: cannot make its folder: File exists; pass another --store"
    assert call("run", "--store", "file/history.sqlite") == (3, [said])
    code, [line] = call("run", "--json", "file/run.json")
    assert (code, line) == (3, "--json file/run.json: cannot be written: File exists; name another file")
    code, [line] = call("report", "--out", "file/site")
    assert (code, line) == (
        3,
        "report: cannot write file/site: Not a directory; give a writable folder with free space",
    )
    assert recorded() == [("tiny", "pass")]


def test_a_folder_where_a_file_is_due(call):
    write()
    Path("folder").mkdir()
    code, [line] = call("run", "--store", "folder")
    assert (code, line) == (
        2,
        "store folder: is a folder, expected a file such as folder/history.sqlite",
    )
    said = "--json folder: cannot be written: Is a directory; name another file"
    assert call("run", "--json", "folder") == (3, [said])


def test_a_report_that_cannot_be_written_loses_no_run_and_no_json(call):
    write()
    Path("out").mkdir()
    Path("out/site").touch()
    code, [line] = call("run", "--report", "--json", "run.json")
    assert (code, line) == (
        3,
        "report: cannot write out/site: File exists; give a writable folder with free space",
    )
    assert json.loads(Path("run.json").read_text())["runs"][0]["status"] == "pass"
    assert recorded() == [("tiny", "pass")]


# A full disk.


def test_a_full_disk_for_json(call):
    write()
    code, [line] = call("run", "--json", "/dev/full")
    assert (code, line) == (
        3,
        "--json /dev/full: cannot be written: No space left on device; name another file",
    )
    assert recorded() == [("tiny", "pass")]


def test_a_full_disk_for_standard_output():
    write()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "lint"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "harness broke: OSError: [Errno 28] No space left on device; `harness --debug ...` shows where"
    ]


def test_a_full_disk_for_the_store(call, monkeypatch):
    write("one")
    assert call("run") == (0, [])
    write("two")
    with closing(sqlite3.connect(STORE)) as connection:
        [(pages,)] = connection.execute("PRAGMA page_count").fetchall()

    def no_space(connection, record):
        set_up(connection, record)
        connection.execute(f"PRAGMA max_page_count={pages + 1}")

    set_up = database._set_up_sqlite
    with monkeypatch.context() as patch:
        patch.setattr(database, "_set_up_sqlite", no_space)
        code, [line] = call("run")
    full = f"store {STORE}: database or disk is full; free some space, then run again with --resume"
    assert (code, line) == (3, full)
    before = recorded()
    assert before[0] == ("one", "pass")

    assert call("run", "--resume") == (0, [])
    assert recorded() == [("one", "pass"), ("one", "pass"), ("two", "pass")]


@pytest.mark.parametrize("kibibytes", [4, 80])
def test_files_that_may_not_grow(kibibytes):
    # As on a disk that is full: every write beyond the limit fails, in all processes of the run.
    write()
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (kibibytes * 1024, kibibytes * 1024))
    with outside("run", "--store", "h.sqlite", preexec_fn=limit) as process:
        _, errors = process.communicate()
    assert process.returncode == 3
    assert errors == "store h.sqlite: disk I/O error; check the disk, then run again with --resume\n"
    with outside("run", "--store", "h.sqlite", "--resume") as process:
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert recorded("h.sqlite") == [("tiny", "pass")]


# Clocks, and histories that are short.


@pytest.fixture
def said(capsys):
    """A command line: its exit code and the lines of its output."""

    def said(*arguments):
        capsys.readouterr()
        return main([*arguments]), capsys.readouterr().out.splitlines()

    return said


def test_a_clock_that_went_backwards_is_told_and_loses_nothing(said):
    write()
    said("run")
    with closing(sqlite3.connect(STORE)) as connection, connection:
        connection.execute("UPDATE session SET started = 4e10")
        connection.execute("UPDATE run SET started = 4e10")
    code, lines = said("run")
    assert code == 0
    assert lines[-1].startswith("note: a night is recorded of 3237-")
    assert lines[-1].endswith(", after now: a clock was wrong; that one counts as the newest")
    code, lines = said("history")
    assert (code, len(lines)) == (0, 3)
    assert lines[-1].startswith("note: 1 run (first ")
    assert recorded() == [("tiny", "pass"), ("tiny", "pass")]


def test_a_history_of_one_run_and_of_none(said):
    write()
    open_store("empty.sqlite").close()
    assert said("history", "--store", "empty.sqlite") == (0, ["no runs in empty.sqlite"])
    assert said("report", "--store", "empty.sqlite", "--out", "site")[0] == 0
    assert said("history", "--store", "none.sqlite") == (2, [])
    said("run")
    assert (len(said("history")[1]), said("report")[0]) == (1, 0)


# Stores of others.


def test_a_store_of_a_newer_version_is_refused_untouched(call):
    write()
    call("run")
    with closing(sqlite3.connect(STORE)) as connection, connection:
        connection.execute("UPDATE meta SET schema_version = 99")
    before = hashlib.sha256(STORE.read_bytes()).digest()
    for command in ("run", "history", "report"):
        code, [line] = call(command)
        assert code == 2
        assert line.startswith(f"store {STORE}: written by a newer version (schema 99, this one reads up to ")
        assert line.endswith("); upgrade training-harness or pass another --store")
    assert hashlib.sha256(STORE.read_bytes()).digest() == before


def test_a_store_that_is_none(call):
    write()
    Path("notes.txt").write_text("Do not touch. " * 100)
    for command in ("run", "history", "report"):
        code, [line] = call(command, "--store", "notes.txt")
        assert (code, line) == (
            3,
            "store notes.txt: file is not a database; it is no harness store; pass another --store",
        )
    assert Path("notes.txt").read_text() == "Do not touch. " * 100


def test_two_runs_writing_at_once():
    for name in ("one", "two", "three"):
        write(name)
    processes = [outside("run", "--workers", "2") for _ in range(2)]
    for process in processes:
        with process:
            said, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
        assert re.search(r"^3 passed in ", said, re.MULTILINE)
    assert sorted(recorded()) == sorted([("one", "pass"), ("two", "pass"), ("three", "pass")] * 2)
    with open_store(STORE) as store:
        assert [session.finished is not None for session in store.sessions()] == [True, True]
        for session in store.sessions():
            assert {run.case for run in store.runs(session=session.id)} == {"one", "two", "three"}

"""`harness capsule`: what it holds, that it replays elsewhere, and what is refused when it is read."""

import json
import stat
import zipfile
from pathlib import Path

import pytest
import revisions
import tiny
from test_replay import call, recorded

from harness.capsule import requirements, unpacked
from harness.cli import main
from harness.model import HarnessError

__all__ = ["call"]
DECODER = ("data: {markov: {}}", "data: {text: ../words/text.txt, tokenizer: characters}")


def text_case():
    """A case that names a text outside of its folder."""
    Path("words").mkdir()
    Path("words/text.txt").write_text("abcdefgh" * 8)
    return tiny.write("tiny", DECODER)


def emptied(folder):
    """Another machine: nothing of this one is there."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.suffix != ".capsule" and (path.is_file() or not any(path.iterdir())):
            path.unlink() if path.is_file() else path.rmdir()


def test_a_training_gives_its_bits_again_on_another_machine(call, tmp_path):
    call("run", text_case())
    run = recorded()
    code, out, err = call("capsule", "tiny:numpy_float64", "--json", "found.json")
    assert (code, err) == (0, [])
    assert out == [f"packed  tiny [numpy_float64] {run.id}; elsewhere: harness replay {run.id}.capsule"]
    assert json.loads(Path("found.json").read_text()) == {
        "schema": 1, "run": run.id, "path": f"{run.id}.capsule",
    }  # fmt: skip
    emptied(tmp_path)
    code, out, err = call("replay", f"{run.id}.capsule")
    assert (code, out, err) == (0, [f"replayed  tiny [numpy_float64] {run.id}: the same bits"], [])


def test_a_program_goes_with_its_case(call, tmp_path):
    revisions.begin()
    call("run", "cases/line.yaml")
    call("capsule", "line:command", "--output", "line.capsule")
    emptied(tmp_path / "cases")
    code, out, _ = call("replay", "line.capsule")
    assert (code, out[0].endswith(": the same bits")) == (0, True)


def test_a_program_goes_with_the_modules_beside_it(call, tmp_path):
    Path("cases").mkdir()
    Path("near.py").write_text("SLOPE = 0.3\n")
    revisions.program("SLOPE", name="../train.py")
    Path("train.py").write_text("from near import SLOPE\n" + Path("train.py").read_text())
    revisions.case(uses="../train.py")
    call("run", "cases/line.yaml")
    call("capsule", "line:command", "--output", "line.capsule")
    emptied(tmp_path)
    code, out, _ = call("replay", "line.capsule")
    assert (code, out[0].endswith(": the same bits")) == (0, True)


def test_a_program_that_needs_its_repository_finds_it_at_the_commit(call):
    revisions.begin()
    Path("slope.txt").write_text("0.3")
    revisions.program('float(open("../slope.txt").read())')
    revisions.commit("a file that no case names")
    call("run", "cases/line.yaml")
    call("capsule", "line:command", "--output", "line.capsule")
    code, out, _ = call("replay", "line.capsule")
    assert (code, out[0].endswith(": the same bits")) == (0, True)
    revisions.program("0.3")
    revisions.commit("another")
    code, out, _ = call("replay", "line.capsule")
    assert (code, out[0].endswith(": nothing to compare")) == (3, True)
    assert "slope.txt" in out[1]


def test_what_it_holds(call):
    revisions.begin()
    text_case()
    commit = revisions.commit("a text")
    revisions.program("0.25")
    call("run", "cases/tiny.yaml")
    run = recorded()
    for name in ("one", "two"):
        call("capsule", run.id, "--output", f"{name}.capsule")
    assert Path("one.capsule").read_bytes() == Path("two.capsule").read_bytes()
    with zipfile.ZipFile("one.capsule") as archive:
        assert archive.namelist() == [
            "capsule.json", "case.yaml", "facts", "requirements.txt", "patch.diff", "files/words/text.txt",
        ]  # fmt: skip
        held = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(held["capsule.json"])
    assert (about["schema"], about["seed"], about["commit"], about["folder"], about["file"]) == (
        1, 0, commit, "cases", "tiny.yaml",
    )  # fmt: skip
    assert about["run"]["problem_digest"] == run.facts.problem.digest
    assert about["fingerprint"] == dict(run.environment)
    assert b"+    loss = 2.0 - 0.25 * step" in held["patch.diff"]
    assert held["requirements.txt"].decode().split() == list(requirements())
    assert any(line.startswith("numpy==") for line in requirements())


def test_files_that_are_not_those_of_the_run(call):
    call("run", text_case())
    Path("words/text.txt").write_text("hgfedcba" * 8)
    code, _, [line] = call("capsule", "tiny:numpy_float64")
    assert code == 2
    assert "files that the case names have changed: digest " in line
    Path("words/text.txt").write_text("abcdefgh" * 8)
    code, _, [line] = call("capsule", "tiny:numpy_float64", "--output", "absent/x.capsule")
    assert (code, line.endswith("No such file or directory; the capsule was not written")) == (3, True)
    assert list(Path().rglob("*.capsule")) == []


def test_a_program_that_is_not_that_of_the_run(call):
    Path("cases").mkdir()
    revisions.program()
    revisions.case()
    call("run", "cases/line.yaml")
    revisions.program("0.2")
    code, _, [line] = call("capsule", "line:command")
    assert (code, line.endswith("; go back to the commit that it was run at first")) == (2, True)


# Capsules of strangers.


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a good capsule, made once."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main(["run", str(tiny.write())])
        main(["capsule", "tiny:numpy_float64", "--output", "good.capsule"])
        return Path("good.capsule").read_bytes()


@pytest.fixture
def changed(call, good):
    """A good capsule with some entries replaced or added."""
    Path("good.capsule").write_bytes(good)

    def change(**entries):
        with zipfile.ZipFile("good.capsule") as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile("bad.capsule", "w") as archive:
            for name, content in (held | entries).items():
                if content is not None:
                    archive.writestr(name, content)
        return call("replay", "bad.capsule")

    return change


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/outside.txt", "files/../../outside.txt", "files\\..\\x"]
)
def test_names_cannot_leave_the_folder(changed, tmp_path, name):
    code, _, [line] = changed(**{name: b"x"})
    assert code == 2
    assert "lies outside of it; `harness capsule` makes one" in line
    assert not list(tmp_path.parent.glob("outside.txt"))
    assert not Path("/outside.txt").exists()


@pytest.mark.parametrize("folder", ["../..", "/"])
def test_the_case_cannot_leave_it_either(changed, folder):
    with zipfile.ZipFile("good.capsule") as archive:
        about = json.loads(archive.read("capsule.json"))
    code, _, [line] = changed(**{"capsule.json": json.dumps({**about, "folder": folder})})
    assert (code, "lies outside of it" in line) == (2, True)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"capsule.json": None}, "No such file or directory"),
        ({"capsule.json": b"{"}, "Expecting property name"),
        ({"capsule.json": b"{}"}, "'schema'"),
        ({"capsule.json": b'{"schema": 2}'}, "schema 2, expected 1; upgrade training-harness"),
        ({"facts": b"\x80\x04K\x01."}, "not the facts of a run"),
        ({"facts": None}, "cannot read the facts of a run"),
    ],
)
def test_what_is_damaged_is_one_line(changed, entries, said):
    code, _, [line] = changed(**entries)
    assert (code, line.startswith("bad.capsule: not a capsule: "), said in line) == (2, True, True)


def test_a_file_that_is_no_zip_or_not_there(call):
    Path("x.capsule").write_text("no zip")
    assert call("replay", "x.capsule")[2] == [
        "x.capsule: not a capsule: File is not a zip file; `harness capsule` makes one"
    ]
    assert "No such file or directory" in call("replay", "y.capsule")[2][0]


def test_a_link_is_written_as_a_file(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.capsule").write_bytes(good)
    link = zipfile.ZipInfo("files/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile("bad.capsule", "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with unpacked(Path("bad.capsule")) as found:
        path = found.folder / "files/link"
        assert (path.is_symlink(), path.read_text()) == (False, "/etc/passwd")


def test_what_expands_without_end(changed, monkeypatch):
    monkeypatch.setattr("harness.capsule.LARGEST", 10_000)
    code, _, [line] = changed(**{"files/zeros": bytes(20_000)})
    assert (code, "it expands to more than" in line) == (2, True)
    monkeypatch.undo()
    with pytest.raises(HarnessError, match="not a capsule"), unpacked(Path("absent.capsule")):
        pass

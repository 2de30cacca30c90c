"""`harness compare` on repositories of its own: what it says, what it refuses, and that nothing is left."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from recorded import make_facts, make_run
from revisions import begin, case, commit, git, left_behind, program, untouched

from harness import compare as module
from harness.cli import compare as command
from harness.cli import main
from harness.compare import Absent, compare
from harness.decide import Limits, decide
from harness.elsewhere import AbsentError, Elsewhere, holds_suite, located, meant
from harness.model import HarnessError, Status
from harness.repository import open_repository
from harness.worktrees import ROOT, Checkout, Worktrees

QUICK = ("--metric", "final_loss")


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A command line in a repository with one healthy commit; temporary folders go beside it."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "repository").mkdir()
    monkeypatch.chdir(tmp_path / "repository")
    begin()

    def call(*arguments):
        before = untouched()
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert untouched() == before
        assert left_behind(tmp_path / "temporary") == []
        return code, said.out.splitlines(), said.err.splitlines()

    return call


def test_a_case_that_turns_red_is_a_regression_with_its_diagnosis_first(call, tmp_path):
    program("0.0", rate="0.0")
    commit("lost the rate")
    Path("cases/notes.txt").write_text("mine")
    code, out, err = call(
        "compare", "HEAD~1", "HEAD", "--metric", "final_loss", "--json", tmp_path / "found.json"
    )
    assert (code, err) == (1, [])
    old, new = git("rev-parse", "HEAD~1"), git("rev-parse", "HEAD")
    assert out[:5] == [
        "note: cases/notes.txt not committed: changes that are in no commit are left out",
        f"A {old[:9]} healthy",
        f"B {new[:9]} lost the rate",
        "regression    line [command] after 2 rounds",
        "regression  line [command]  pass -> fail (0 and 2 of 2 not healthy)",
    ]
    assert out[5] == "       fail   line [command] loss_drop: 0 % over 4 steps (2 to 2), expected >= 10 %"
    assert "learning rate" in out[6]
    assert out[-2:] == [
        (
            "regression  line [command]  final_loss 1.1 to 2 (+81.82 %, exactly); they part at step 1, forward: 1.7 and"
            " 2, 15 % apart"
        ),
        "1 regression",
    ]
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["schema"], found["before"], found["after"], found["absent"]) == (1, old, new, [])
    [one] = found["comparisons"]
    assert (one["case"], one["kind"], one["rounds"], one["status"]) == (
        "line",
        "regression",
        2,
        ["pass", "fail"],
    )
    assert one["run"]["diagnoses"]
    assert one["findings"][0]["share"] == pytest.approx(0.9 / 1.1)


def test_a_training_in_numpy_that_stays_as_it_was(call):
    tiny.write()
    commit("a decoder")
    commit("nothing")
    code, out, _ = call("compare", "HEAD~1", "main", "tiny", *QUICK, "--metric", "held_out_loss")
    assert (code, out[2:]) == (0, ["same          tiny [numpy_float64] after 2 rounds", "1 same"])


def test_a_case_that_only_one_commit_has_is_told(call):
    case("other")
    commit("another case")
    code, out, _ = call("compare", "HEAD~1", "HEAD", "other", *QUICK)
    first = git("rev-parse", "--short=9", "HEAD~1")
    assert code == 2
    assert out[2:] == [
        f"not compared  other: {first}: no case 'other' there; name one in `cases`, or a file",
        "1 not compared",
    ]


def test_a_commit_that_cannot_be_built_is_told_and_left_out(call):
    Path("Makefile").write_text("all:\n\t@ls absent\n")
    commit("it does not build")
    Path("Makefile").write_text("all:\n\ttrue\n")
    commit("it builds")
    code, out, _ = call("compare", "HEAD~1", "HEAD", "line", "--build", "make", *QUICK)
    broken = git("rev-parse", "--short=9", "HEAD~1")
    assert (code, out[-1]) == (2, "1 not compared")
    assert out[2].startswith(f"not compared  line: {broken}: `make` left with exit code 2: ")


def test_a_shallow_clone_says_how_to_get_the_rest(call, tmp_path, monkeypatch):
    commit("second")
    git("clone", "-q", "--depth", "1", Path.cwd().as_uri(), str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    for arguments in (
        ("compare", "HEAD~1", "HEAD"),
        ("bisect", "line", "--good", "HEAD~1", "--bad", "HEAD"),
        ("validate", "line", "--before", "HEAD~1", "--after", "HEAD"),
    ):
        code, _, [line] = call(*arguments)
        assert code == 2
        assert line.startswith(".: unknown revision 'HEAD~1'; ")
        assert line.endswith("this clone is shallow: `git fetch --unshallow` gets the rest")


# What is refused before anything runs.


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("HEAD", "main"), "A and B are the same commit, {}: there is nothing to compare"),
        (("HEAD", "nowhere"), ".: unknown revision 'nowhere'; `git log` shows what there is"),
        (("HEAD", "HEAD~1", "/cases"), "/cases: leads out of the checkouts"),
        (("HEAD", "main", "--threshold", "5"), "--threshold: expected a percentage such as 3%, got '5'"),
        (("HEAD", "main", "--threshold", "0%"), "--threshold: expected more than 0%, got 0%"),
        (
            ("HEAD", "main", "--repo", "absent"),
            "--repo absent: no such folder; expected one in a git repository",
        ),
    ],
)
def test_bad_input_is_one_line(call, arguments, said):
    commit("second")
    code, _, [line] = call("compare", *arguments)
    assert code == 2
    assert line.startswith(said.format(git("rev-parse", "--short=9", "HEAD")))


def test_nothing_to_compare_in_a_folder(call):
    Path("more").mkdir()
    Path("more/empty.txt").write_text("")
    commit()
    code, _, [line] = call("compare", "HEAD~1", "HEAD", "more")
    assert (code, line) == (2, "more: no case at either commit that is asked for")


def test_a_killed_command_leaves_nothing(call, tmp_path):
    del call
    Path("cases/train.py").write_text(
        "open(__import__('os').environ['MARK'], 'w').write('x')\nimport signal; signal.pause()\n"
    )
    commit("it hangs")
    before, mark = untouched(), tmp_path / "mark"
    arguments = [sys.executable, "-m", "harness", "compare", "HEAD", "HEAD~1", "line", *QUICK]
    running = subprocess.Popen(arguments, env={**os.environ, "MARK": str(mark)}, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    with running:
        while not mark.exists():
            assert time.monotonic() < end, "the case never began"
            os.sched_yield()
        running.kill()
    while left_behind(tmp_path / "temporary") or untouched() != before:
        assert time.monotonic() < end, "worktrees are left"
        os.sched_yield()


# In what environment a commit's cases run.


@pytest.fixture
def checkout(call):
    del call
    found = open_repository(Path()).commit("HEAD")
    return Checkout(commit=found, root=Path.cwd(), folder=Path.cwd())


def test_words_for_cases(checkout):
    case("deeper")
    Path("cases/sub").mkdir()
    Path("cases/deeper.yaml").rename("cases/sub/nested.yml")
    assert located(checkout, "line") == Path("cases/line.yaml")
    assert located(checkout, "line[seed=1]") == Path("cases/line.yaml")
    assert located(checkout, "nested") == Path("cases/sub/nested.yml")
    assert located(checkout, "cases/sub/nested") == Path("cases/sub/nested.yml")
    assert located(checkout, "cases/line.yaml") == Path("cases/line.yaml")
    assert located(checkout, "cases") == Path("cases")
    for word in ("lin", "cases/absent.yaml", "elsewhere/line"):
        with pytest.raises(AbsentError, match=f"no case '{word}' there"):
            located(checkout, word)
    for word in (str(Path("cases/line.yaml").absolute()), "../line"):
        with pytest.raises(
            HarnessError, match="leads out of the checkouts; name it from the folder of --repo"
        ):
            located(checkout, word)
    assert meant("line[seed=1]", "line[seed=1]")
    assert not meant("line[seed=1]", "line[seed=2]")
    assert meant("line", "line[seed=2]")


def test_modules_of_the_commit_come_first(checkout, tmp_path):
    how = Elsewhere(scratch=tmp_path)
    assert how._paths(checkout) == [checkout.root, ROOT]
    Path("src").mkdir()
    assert how._paths(checkout) == [checkout.root, checkout.root / "src", ROOT]
    assert replace(how, python="python3")._paths(checkout) == [checkout.root, checkout.root / "src"]


def test_a_repository_of_the_suite_runs_its_own(checkout, tmp_path):
    assert holds_suite(ROOT)
    how = Elsewhere(scratch=tmp_path)
    assert how._paths(replace(checkout, root=ROOT)) == [ROOT]
    Path("harness").mkdir()
    Path("harness/__init__.py").write_text("")
    with pytest.raises(HarnessError, match="holds a package `harness` that is not this suite"):
        how._paths(checkout)


def test_what_cannot_be_built_or_run_is_told(checkout, tmp_path):
    short, told = checkout.commit.short, []
    with pytest.raises(AbsentError, match=f"^{short}: `ls absent` left with exit code 2: .*No such file"):
        Elsewhere(scratch=tmp_path, build="ls absent", tell=told.append).run(checkout, ["line"])
    assert told == [f"{short}: ls absent"]
    with pytest.raises(AbsentError, match=r"^no-such-program: no such file or folder"):
        Elsewhere(scratch=tmp_path, build="no-such-program").run(checkout, ["line"])
    Path("cases/line.yaml").write_text("schema: 1\n")
    with pytest.raises(AbsentError, match=rf"^{short}: nothing ran \(exit code 2\): cases/line.yaml"):
        Elsewhere(scratch=tmp_path).run(checkout, ["line"])


def test_an_interpreter_without_the_suite(checkout, tmp_path):
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "$0: No module named harness" >&2\nexit 1\n')
    bare.chmod(0o755)
    with pytest.raises(
        HarnessError, match=r"^--python .*: No module named harness; install training-harness there$"
    ):
        Elsewhere(scratch=tmp_path, python=str(bare)).run(checkout, ["line"])


# The order of things.


class Recorded:
    """Stands for `Elsewhere`: runs that are given, side by side with what was asked for."""

    def __init__(self, statuses):
        self.statuses, self.asked = statuses, []

    def run(self, checkout, cases, tags=()):
        self.asked.append((checkout.commit.subject, *cases, *tags))
        status = self.statuses[checkout.commit.subject]
        return tuple(make_run(case=name, status=status) for name in cases)


@pytest.fixture
def sides(call):
    del call
    commit("worse")
    repository = open_repository(Path())
    with Worktrees(repository) as trees:
        yield trees, (repository.commit("HEAD~1"), repository.commit("HEAD"))


def test_rounds_are_interleaved_until_it_is_clear(sides):
    how = Recorded({"healthy": Status.PASS, "worse": Status.FAIL})
    [found] = compare(*sides, how, Limits(metrics=("final_loss",)), ["one"], ["small"])
    assert found.kind == "regression"
    assert how.asked == [("healthy", "one", "small"), ("worse", "one", "small")] * 2


def test_what_is_never_clear_ends_with_the_last_round(sides):
    how = Recorded({"healthy": Status.PASS, "worse": Status.PASS})
    [found] = compare(*sides, how, Limits(metrics=("step_time",), most=3), ["one"])
    assert (found.kind, found.rounds, len(how.asked)) == ("inconclusive", 3, 6)
    assert command._exit_code([found], []) == 0
    assert command._words(found)[0].startswith(
        "inconclusive  one [torch_eager]  step_time 36 ms to 36 ms (0 %, "
    )


def test_a_folder_is_compared_file_by_file(sides, monkeypatch):
    monkeypatch.setattr(module, "_compared", lambda *given: [given[3:]])
    assert list(compare(*sides, None, Limits())) == [("cases/line.yaml", ())]
    assert list(compare(*sides, None, Limits(), ["cases", "line"], ["small"])) == [
        ("cases/line.yaml", ["small"]),
        ("line", ["small"]),
    ]
    with pytest.raises(HarnessError, match="cases: no case at either commit that is asked for"):
        list(compare(*sides, None, Limits(), [], ["large"]))


def test_words_of_what_stays_red_and_of_what_is_unlike():
    red = [make_run(status=Status.FAIL)] * 2
    found = decide(red, red, Limits(metrics=("final_loss",)))
    assert command._words(found)[0] == "as before  cllm-minimal [torch_eager]  fail at both"
    other = [make_run(revision=7, status=Status.PASS, facts=make_facts())] * 2
    lines = command._words(decide(red, other, Limits(metrics=("final_loss",))))
    assert lines[0].startswith(
        "improvement  cllm-minimal [torch_eager]  fail -> pass (2 and 0 of 2 not healthy)"
    )
    assert lines[-1] == (
        "unlike  cllm-minimal [torch_eager]  case revision: 1 and 7: other numbers are no regression then"
    )


def test_exit_codes():
    red, green = ([make_run(status=status)] * 2 for status in (Status.FAIL, Status.PASS))
    limits = Limits(metrics=("final_loss",))
    worse, better = decide(green, red, limits), decide(red, green, limits)
    absent = Absent(case="x", reason="gone")
    assert [command._exit_code([each], [absent]) for each in (worse, better)] == [1, 0]
    assert command._exit_code([], [absent]) == 2

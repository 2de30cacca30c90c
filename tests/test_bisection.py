"""`harness bisect`: the first commit at which a case fails, past those that cannot be run."""

import json
from dataclasses import replace
from math import ceil, log2
from pathlib import Path

import pytest
from recorded import make_run
from revisions import commit, git, program
from test_compare import call

from harness.bisection import Bisection, Examiner, State, Visit, first_bad
from harness.cli.bisect import _words
from harness.elsewhere import AbsentError
from harness.model import HarnessError, Status
from harness.repository import Commit

__all__ = ["call"]


def commits(count):
    return [Commit(hash=f"{at:040x}", authored="", parents=(), subject=str(at)) for at in range(count)]


def searched(states):
    """states: a letter a commit, g, b or s; the last must be b."""
    every, asked = commits(len(states)), []
    names = {"g": State.GOOD, "b": State.BAD, "s": State.SKIPPED}

    def test(one):
        asked.append(int(one.subject))
        return Visit(commit=one, state=names[states[int(one.subject)]])

    found = first_bad(every, Visit(commit=every[-1], state=State.BAD), test)
    return [int(one.subject) for one in found.suspects], int(found.bad.commit.subject), asked


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100])
def test_every_place_is_found_in_as_few_runs_as_it_takes(count):
    for first in range(count):
        suspects, bad, asked = searched("g" * first + "b" * (count - first))
        assert (suspects, bad) == ([first], first)
        assert len(asked) <= ceil(log2(count + 1))
        assert len(set(asked)) == len(asked)


@pytest.mark.parametrize(
    ("states", "suspects"),
    [
        ("gsb", [1, 2]),
        ("gssgb", [4]),
        ("bssssb", [0]),
        ("sssb", [0, 1, 2, 3]),
        ("ggsbssb", [2, 3]),
    ],
)
def test_what_cannot_be_run_is_passed_over(states, suspects):
    assert searched(states)[0] == suspects


class Recorded:
    """Stands for `Elsewhere` and `Worktrees` at once: a letter for each commit."""

    def __init__(self, letters):
        self.letters, self.dropped = letters, []

    def at(self, commit):
        return int(commit.subject)

    def drop(self, commit):
        self.dropped.append(int(commit.subject))

    def run(self, at, cases):
        letter = self.letters[at]
        if letter == "-":
            raise AbsentError("gone")
        status = {"p": Status.PASS, "f": Status.FAIL, "e": Status.ERROR}[letter]
        return (make_run(case=cases[0], status=status, message="said"),)


def examined(letters):
    found = Recorded(letters)
    return Examiner(trees=found, elsewhere=found, case="line"), commits(len(letters))


@pytest.mark.parametrize(
    ("letters", "state", "reason"),
    [
        ("ppf", State.GOOD, ""),
        ("pff", State.BAD, ""),
        ("pef", State.SKIPPED, "error: said"),
        ("p-f", State.SKIPPED, "gone"),
        ("pee", State.BAD, ""),
        ("pfe", State.BAD, ""),
    ],
)
def test_a_commit_is_judged_by_how_the_bad_end_ends(letters, state, reason):
    examiner, [good, middle, bad] = examined(letters)
    assert examiner.ends(good, bad).state is State.BAD
    found = examiner.test(middle)
    assert (found.state, found.reason) == (state, reason)
    assert sorted(examiner.trees.dropped) == [0, 1, 2]


@pytest.mark.parametrize(
    ("letters", "said"),
    [
        ("pp", "--bad 000000000: line does not fail there: pass; name a commit where it does"),
        ("ff", "--good 000000000: line: fails there already; name a commit where it passes"),
        ("ef", "--good 000000000: line: error: said; name a commit where it passes"),
        ("-f", "gone"),
    ],
)
def test_ends_that_are_none(letters, said):
    examiner, [good, bad] = examined(letters)
    with pytest.raises(HarnessError) as refused:
        examiner.ends(good, bad)
    assert str(refused.value) == said


def test_the_commit_is_named_with_its_date_and_the_cause(call, tmp_path):
    program("0.25")
    commit("slower")
    Path("cases/line.yaml").rename("elsewhere.yaml")
    lost = commit("the case is gone")
    Path("elsewhere.yaml").rename("cases/line.yaml")
    program("0.0", rate="0.0")
    culprit = commit("lost the rate")
    commit("nothing")
    code, out, err = call(
        "bisect", "line", "--good", "HEAD~4", "--bad", "HEAD", "--json", tmp_path / "found.json"
    )
    assert (code, err) == (1, [])
    day = git("log", "-1", "--format=%as")
    assert out[0] == f"4 commits from {git('rev-parse', 'HEAD~4')[:9]} to {git('rev-parse', 'HEAD')[:9]}"
    assert (
        f"skipped  {lost[:9]}  {day}  the case is gone: {lost[:9]}: no case 'line' there; name one in `cases`, or a file"
        in out
    )
    assert f"bad      {culprit[:9]}  {day}  lost the rate" in out
    assert "narrowed  line fails since one of 2; the others could not be run:" in out
    assert any("learning rate is zero" in line for line in out)
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["hash"] for one in found["suspects"]] == [lost, culprit]
    assert found["run"]["diagnoses"][0]["name"] == "learning_rate_zero"


def test_words_for_a_commit_and_for_a_merge():
    culprit = Commit(
        hash="a" * 40, authored="2026-03-02T03:10:00+01:00", parents=("b" * 40,), subject="worse"
    )
    found = Bisection(suspects=(culprit,), bad=Visit(commit=culprit, state=State.BAD), tested=())
    assert _words("line", found) == ["found  line fails since aaaaaaaaa  2026-03-02  worse"]
    merge = replace(culprit, parents=("b" * 40, "c" * 40))
    assert _words("line", replace(found, suspects=(merge,)))[1] == (
        "       it is a merge; what came in: harness bisect line --good $(git merge-base bbbbbbbbb ccccccccc)"
        " --bad ccccccccc"
    )


def test_ends_the_wrong_way_round(call):
    commit("later")
    code, _, [line] = call("bisect", "line", "--good", "HEAD", "--bad", "HEAD~1")
    assert (code, "name a --good that is an ancestor of --bad" in line) == (2, True)

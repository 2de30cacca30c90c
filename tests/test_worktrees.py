"""Commits in folders of their own: what git is asked, and that nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import revisions
from revisions import begin, commit, git, left_behind, program, untouched

from harness.model import BrokenError, HarnessError
from harness.repository import open_repository
from harness.worktrees import Worktrees


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A repository with two commits in the current folder; temporary folders go beside it."""
    home = tmp_path / "temporary"
    home.mkdir()
    monkeypatch.setenv("TMPDIR", str(home))
    (tmp_path / "repository").mkdir()
    monkeypatch.chdir(tmp_path / "repository")
    begin()
    program("0.0")
    commit("broken: it does not fall")
    return home


def test_checkouts_are_those_of_the_commits_and_go_again(temporary):
    before = untouched()
    repository = open_repository(Path())
    with Worktrees(repository) as trees:
        old, new = (trees.at(repository.commit(name)) for name in ("HEAD~1", "main"))
        assert "0.3 * step" in (old.folder / "cases/train.py").read_text()
        assert "0.0 * step" in (new.folder / "cases/train.py").read_text()
        assert trees.at(repository.commit("HEAD")) == new
        assert git("worktree", "list").count("\n") == 2
        (old.folder / "written.txt").write_text("by a run")
        trees.drop(old.commit)
        assert not old.root.exists()
        assert git("worktree", "list").count("\n") == 1
    assert untouched() == before
    assert left_behind(temporary) == []


def test_a_folder_below_the_root_stays_one(temporary):
    del temporary
    repository = open_repository(Path("cases"))
    with Worktrees(repository) as trees:
        found = trees.at(repository.commit("HEAD"))
        assert (found.folder / "train.py").is_file()
        assert found.folder == found.root / "cases"


def test_an_error_takes_them_away_too(temporary):
    before, repository = untouched(), open_repository(Path())
    head = repository.commit("HEAD")

    def broken():
        with Worktrees(repository) as trees:
            trees.at(head)
            trees.at(replace(head, hash="f" * 40))

    with pytest.raises(HarnessError, match="git worktree: invalid reference: ffff"):
        broken()
    assert (untouched(), left_behind(temporary)) == (before, [])


OWNER = """
import sys
from pathlib import Path
from harness.repository import open_repository
from harness.worktrees import Worktrees

repository = open_repository(Path())
with Worktrees(repository) as trees:
    trees.at(repository.commit("HEAD"))
    print(trees._keeper.pid, flush=True)
    sys.stdin.read()
"""


def ended(process, seconds=60):
    """Wait for a process that is not our child; what nobody waits for stays as a zombie."""
    end = time.monotonic() + seconds
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end, "the keeper lives on"
            os.sched_yield()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whoever_is_killed_leaves_nothing(temporary, end):
    before = untouched()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with owner:
        keeper = int(owner.stdout.readline())
        assert git("worktree", "list").count("\n") == 1
        owner.send_signal(end)
    ended(keeper)
    assert (untouched(), left_behind(temporary)) == (before, [])


def test_hooks_of_the_user_hear_nothing(temporary):
    del temporary
    hook = Path(".git/hooks/post-checkout")
    hook.write_text("#!/bin/sh\ntouch heard\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    repository = open_repository(Path())
    with Worktrees(repository) as trees:
        assert not (trees.at(repository.commit("HEAD")).root / "heard").exists()


def test_a_keeper_that_is_gone_is_told(temporary):
    del temporary
    repository = open_repository(Path())
    with Worktrees(repository) as trees:
        trees._keeper.terminate()
        trees._keeper.wait()
        with pytest.raises(BrokenError, match="the process that keeps the worktrees is gone"):
            trees.at(repository.commit("HEAD"))


# What git is asked.


def test_a_commit_tells_who_when_and_what(temporary):
    del temporary
    found = open_repository(Path()).commit("main")
    assert found.hash == git("rev-parse", "HEAD")
    assert found.short == found.hash[:9]
    assert found.parents == (git("rev-parse", "HEAD~1"),)
    assert found.subject == "broken: it does not fall"
    assert found.authored == git("log", "-1", "--format=%aI")


@pytest.mark.parametrize(
    "name", ["no-such", "HEAD..HEAD~1", "--all", "^HEAD", "HEAD~9", "", "f" * 40, "HEAD:cases"]
)
def test_what_is_no_commit_is_refused(temporary, name):
    del temporary
    with pytest.raises(HarnessError) as refused:
        open_repository(Path()).commit(name)
    assert str(refused.value) == (
        f".: unknown revision '{name}'; `git log` shows what there is; a commit that was rebased away is there"
        " no more"
    )


def test_a_shallow_clone_says_so(temporary):
    first = git("rev-parse", "HEAD~1")
    git("clone", "-q", "--depth=1", f"file://{Path.cwd()}", str(temporary / "clone"))
    with pytest.raises(
        HarnessError, match=r"; this clone is shallow: `git fetch --unshallow` gets the rest$"
    ):
        open_repository(temporary / "clone").commit(first)


def test_commits_between_two(temporary):
    del temporary
    repository = open_repository(Path())
    program("0.1")
    commit("third")
    good, bad = repository.commit("HEAD~2"), repository.commit("HEAD")
    assert [each.subject for each in repository.between(good, bad)] == ["broken: it does not fall", "third"]
    with pytest.raises(
        HarnessError, match=r"does not come from .*; name a --good that is an ancestor of --bad"
    ):
        repository.between(bad, good)


def test_changes_that_are_not_committed_are_told_where_they_matter(temporary):
    del temporary
    repository = open_repository(Path())
    head, first = repository.commit("HEAD"), repository.commit("HEAD~1")
    assert repository.notes(head) == ()
    Path("new.py").write_text("")
    program("0.5")
    assert repository.notes(first) == ()
    assert repository.notes(first, head) == (
        "note: cases/train.py and 1 more not committed: changes that are in no commit are left out",
    )


def test_folders_that_are_no_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(HarnessError, match="not in a git repository; name one"):
        open_repository(tmp_path)
    with pytest.raises(HarnessError, match="no such folder; expected one in a git repository"):
        open_repository(tmp_path / "absent")
    subprocess.run([*revisions.GIT, "init", "-q", str(tmp_path)], check=True)
    with pytest.raises(HarnessError, match="has no commit yet; commit something first"):
        open_repository(tmp_path)


def test_without_git(temporary, monkeypatch):
    monkeypatch.setenv("PATH", str(temporary))
    with pytest.raises(BrokenError, match="git: not found on the path; install it"):
        open_repository(Path())

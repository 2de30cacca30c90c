"""Commits of a repository in folders of their own; the user's checkout stays as it is.

A keeper, a process of its own, adds the worktrees, and takes them away once the pipe to it is closed: that
happens however this process ends, even when it is killed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from harness.environment import GIT_REDIRECTS
from harness.model import BrokenError, HarnessError
from harness.repository import Commit, Repository, git

ROOT = Path(__file__).parents[1]
"""Where the suite that runs is imported from."""
PATIENCE = 10.0
"""Seconds for which somebody who was killed may still write into a folder that is to go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkout:
    """A commit in a folder of its own. root: the worktree; folder: where the user stands in it."""

    commit: Commit
    root: Path
    folder: Path


@dataclass(slots=True)
class Worktrees:
    """Checkouts of a repository's commits. Use it in a `with` statement: they are gone afterwards.

    scratch: a folder that goes with them.
    """

    repository: Repository
    scratch: Path = field(init=False)
    _keeper: "subprocess.Popen[str]" = field(init=False)
    _root: Path = field(init=False)
    _added: dict[str, Checkout] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Start the keeper."""
        # A session of its own: Ctrl-C in the terminal must not reach the one who cleans up.
        self._keeper = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "harness.worktrees", str(self.repository.folder.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
            env=environment_with([ROOT]),
        )
        self._root = Path(self._answer()["root"])
        self.scratch = self._root / "scratch"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let the keeper take everything away, and wait for it."""
        with self._keeper:
            assert self._keeper.stdin is not None
            with suppress(BrokenPipeError):
                self._keeper.stdin.close()

    def at(self, commit: Commit) -> Checkout:
        """The checkout of a commit, which is made the first time.

        Raises:
            HarnessError: git cannot check it out, or the folder is not there at this commit.
        """
        if commit.hash not in self._added:
            root = self._root / commit.short
            self._tell(add=str(root), commit=commit.hash)
            folder = root / self.repository.prefix
            self._added[commit.hash] = Checkout(commit=commit, root=root, folder=folder)
        return self._added[commit.hash]

    def drop(self, commit: Commit) -> None:
        """Take one checkout away before the others."""
        found = self._added.pop(commit.hash, None)
        if found is not None:
            self._tell(remove=str(found.root))

    def _tell(self, **order: str) -> None:
        assert self._keeper.stdin is not None
        with suppress(BrokenPipeError):  # `_answer` says that nobody is there
            self._keeper.stdin.write(json.dumps(order) + "\n")
            self._keeper.stdin.flush()
        said = self._answer()["error"]
        if said:
            raise HarnessError(said)

    def _answer(self) -> dict[str, Any]:
        assert self._keeper.stdout is not None
        line = self._keeper.stdout.readline()
        if not line:
            raise BrokenError(
                "the process that keeps the worktrees is gone; `git worktree list` shows what is left"
            )
        found: dict[str, Any] = json.loads(line)
        return found


def environment_with(paths: Sequence[Path]) -> Mapping[str, str]:
    """This process's environment, with folders that come first where Python looks for modules."""
    clean = {name: value for name, value in os.environ.items() if name not in GIT_REDIRECTS}
    known = [clean["PYTHONPATH"]] if clean.get("PYTHONPATH") else []
    return {**clean, "PYTHONPATH": os.pathsep.join([*map(str, paths), *known])}


def keep(repository: Path, orders: IO[str], answers: IO[str]) -> None:
    """The keeper: add and remove worktrees as ordered; at the end of the orders remove all that is left."""
    root = Path(tempfile.mkdtemp(prefix="harness-worktrees-")).resolve()
    (root / "scratch").mkdir()
    added: list[Path] = []
    try:
        _reply(answers, root=str(root))
        for line in orders:
            _reply(answers, error=_followed(repository, json.loads(line), added))
    finally:
        for path in added:
            _remove(repository, path)
        _gone(root)


def _reply(answers: IO[str], **what: str) -> None:
    with suppress(BrokenPipeError):
        answers.write(json.dumps(what) + "\n")
        answers.flush()


def _followed(repository: Path, order: dict[str, str], added: list[Path]) -> str:
    """What git had to say against an order; '' if it was done."""
    try:
        if "remove" in order:
            _remove(repository, Path(order["remove"]))
            added.remove(Path(order["remove"]))
        else:
            added.append(Path(order["add"]))
            git(repository, "worktree", "add", "--quiet", "--detach", order["add"], order["commit"])
    except HarnessError as error:
        return str(error)
    return ""


def _remove(repository: Path, path: Path) -> None:
    # The folder first: git then only forgets it, whatever lies in there. Forced twice: it may be locked.
    _gone(path)
    with suppress(HarnessError):
        git(repository, "worktree", "remove", "--force", "--force", str(path))


def _gone(folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(0.05)


if __name__ == "__main__":
    keep(Path(sys.argv[1]), sys.stdin, sys.stdout)

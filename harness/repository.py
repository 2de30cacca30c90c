"""What git knows of a repository's revisions. Reads only."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.environment import GIT_REDIRECTS, uncommitted
from harness.model import BrokenError, HarnessError

GIT_SECONDS = 600.0
"""The longest that git may take; a checkout of a large repository takes minutes."""
QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "advice.detachedHead=false")
"""No hook of the user's hears of checkouts that are not theirs."""
FORMAT = "--format=%H%x00%aI%x00%P%x00%s"
SHORT = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """A commit. authored: the author's date, ISO 8601."""

    hash: str
    authored: str
    parents: tuple[str, ...]
    subject: str

    @property
    def short(self) -> str:
        """The beginning of its hash."""
        return self.hash[:SHORT]


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """A git repository. folder: where the user stands; prefix: from its root to there, '' at the root."""

    folder: Path
    prefix: str

    @property
    def root(self) -> Path:
        """The folder that everything in it lies in."""
        return self.folder.resolve().joinpath(*(".." for _ in Path(self.prefix).parts)).resolve()

    def commit(self, revision: str) -> Commit:
        """The commit that a branch, a tag or a hash means.

        Raises:
            HarnessError: there is none.
        """
        try:
            found = _log(self.folder, f"{revision}^{{commit}}", "--max-count=1", "--no-walk")
        except HarnessError:
            found = ()
        if len(found) != 1 or revision.startswith(("-", "^")) or ".." in revision:
            raise HarnessError(self._unknown(revision))
        return found[0]

    def between(self, good: Commit, bad: Commit) -> tuple[Commit, ...]:
        """The commits after `good` up to `bad`, oldest first, along first parents.

        Raises:
            HarnessError: `bad` does not come from `good`.
        """
        try:
            git(self.folder, "merge-base", "--is-ancestor", good.hash, bad.hash)
        except HarnessError as error:
            text = f"{bad.short} does not come from {good.short}; name a --good that is an ancestor of --bad"
            raise HarnessError(f"{self.folder}: {text}{self._shallow()}") from error
        return _log(self.folder, f"{good.hash}..{bad.hash}", "--first-parent", "--reverse")

    def patch(self) -> bytes:
        """What is changed and not committed, as a patch against HEAD; new files are not in it."""
        return _asked(self.folder, ("diff", "--binary", "HEAD"))

    def notes(self, *commits: Commit) -> tuple[str, ...]:
        """What is worth knowing before commits are compared: changes that are in none of them."""
        changed = uncommitted(self.folder) or ()
        head = self.commit("HEAD").hash
        if not changed or head not in {commit.hash for commit in commits}:
            return ()
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return (f"note: {changed[0]}{more} not committed: changes that are in no commit are left out",)

    def _unknown(self, revision: str) -> str:
        advice = "`git log` shows what there is; a commit that was rebased away is there no more"
        return f"{self.folder}: unknown revision '{revision}'; {advice}{self._shallow()}"

    def _shallow(self) -> str:
        shallow = git(self.folder, "rev-parse", "--is-shallow-repository").strip() == "true"
        return "; this clone is shallow: `git fetch --unshallow` gets the rest" if shallow else ""


def open_repository(folder: Path) -> Repository:
    """The repository that holds a folder.

    Raises:
        HarnessError: there is none, or it has no commit.
        BrokenError: git is missing.
    """
    if not folder.is_dir():
        raise HarnessError(f"--repo {folder}: no such folder; expected one in a git repository")
    try:
        prefix = git(folder, "rev-parse", "--show-prefix").strip()
    except BrokenError:
        raise
    except HarnessError as error:
        raise HarnessError(f"--repo {folder}: not in a git repository; name one") from error
    try:
        git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    except HarnessError as error:
        raise HarnessError(f"--repo {folder}: has no commit yet; commit something first") from error
    return Repository(folder=folder, prefix=prefix)


def git(folder: Path, *arguments: str) -> str:
    """What git prints.

    Raises:
        HarnessError: git refuses; its own words.
        BrokenError: there is no git.
    """
    return _asked(folder, arguments).decode(errors="replace")


def _asked(folder: Path, arguments: Sequence[str]) -> bytes:
    program = shutil.which("git")
    if program is None:
        raise BrokenError("git: not found on the path; install it")
    clean = {name: value for name, value in os.environ.items() if name not in GIT_REDIRECTS}
    done = subprocess.run(  # noqa: S603 - the program is git, the arguments are ours
        [program, "-C", str(folder), *QUIET, *arguments],
        capture_output=True,
        check=False,
        timeout=GIT_SECONDS,
        stdin=subprocess.DEVNULL,
        env={**clean, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
    )
    if done.returncode:
        said = done.stderr.decode(errors="backslashreplace").strip().splitlines() or ["no reason given"]
        raise HarnessError(f"{folder}: git {arguments[0]}: {said[-1].removeprefix('fatal: ')}")
    return done.stdout


def _log(folder: Path, *what: str) -> tuple[Commit, ...]:
    found = git(folder, "log", FORMAT, *what, "--")
    return tuple(_commit(line.split("\0")) for line in found.splitlines())


def _commit(parts: Sequence[str]) -> Commit:
    return Commit(hash=parts[0], authored=parts[1], parents=tuple(parts[2].split()), subject=parts[3])

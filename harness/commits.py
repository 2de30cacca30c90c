"""The commits of a git repository that holds recorded runs: which are there, when, and on which branches."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.environment import git
from harness.model import HarnessError


@dataclass(frozen=True, kw_only=True, slots=True)
class Commits:
    """What a repository knows.

    dates: seconds since the epoch, by the full hash, of every commit that a branch or a tag leads to.
    lines: by branch, that of the checkout first: what its first parents lead to, newest first.
    shallow: whether it was cloned without its whole history.
    """

    root: Path
    dates: Mapping[str, int]
    lines: Mapping[str, tuple[str, ...]] = field(repr=False)
    shallow: bool

    def branches_with(self, wanted: Iterable[str]) -> tuple[tuple[str, ...], frozenset[str]]:
        """Branches, in their order, until all of these commits are held that any holds; and the others."""
        left = set(wanted)
        chosen: list[str] = []
        for branch, line in self.lines.items():
            if not chosen or left & set(line):
                chosen.append(branch)
                left -= set(line)
        return tuple(chosen), frozenset(left)


def read_commits(folder: Path) -> Commits:
    """The commits of the repository that holds a folder.

    Raises:
        HarnessError: there is no git, no repository or no commit.
    """
    root, listed = git(folder, "rev-parse", "--show-toplevel"), git(folder, "log", "--all", "--format=%H %ct")
    if not root or not listed:
        raise HarnessError(f"--repo {folder}: expected a git repository with commits; name its folder")
    dates = {commit: int(date) for commit, date in (line.split() for line in listed)}
    shallow = git(folder, "rev-parse", "--is-shallow-repository") == ["true"]
    return Commits(root=Path(root[0]), dates=dates, lines=_lines(folder), shallow=shallow)


def _lines(folder: Path) -> dict[str, tuple[str, ...]]:
    current = git(folder, "symbolic-ref", "--quiet", "--short", "HEAD") or ["HEAD"]
    others = git(folder, "for-each-ref", "--sort=-committerdate", "--format=%(refname:short)", "refs/heads")
    names = dict.fromkeys([*current, *(others or ())])
    return {name: tuple(git(folder, "rev-list", "--first-parent", name, "--") or ()) for name in names}

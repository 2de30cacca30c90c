"""The first commit at which a case fails, in as few runs as it takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from harness.elsewhere import AbsentError, Elsewhere
from harness.model import HarnessError, Run, Status
from harness.repository import Commit
from harness.worktrees import Worktrees


class State(StrEnum):
    """What a commit is. SKIPPED: the case is not there, does not build, or ends in a third way."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """A commit that was looked at. run: what shows it; reason: why it says nothing."""

    commit: Commit
    state: State
    run: Run | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bisection:
    """suspects: the commits among which the first bad one is, oldest first; one unless some were skipped.

    bad: the oldest that is known to fail. tested: in the order of time.
    """

    suspects: tuple[Commit, ...]
    bad: Visit
    tested: tuple[Visit, ...]


def first_bad(commits: Sequence[Commit], last: Visit, test: Callable[[Commit], Visit]) -> Bisection:
    """Halve. commits: oldest first, after a good one; last: what was found of the last, which is bad."""
    good, bad = -1, len(commits) - 1
    tested: list[Visit] = []
    known = {bad: last}
    while left := [at for at in range(good + 1, bad) if at not in known]:
        at = min(left, key=lambda each: abs(each - (good + bad) / 2))
        known[at] = test(commits[at])
        tested.append(known[at])
        if known[at].state is State.GOOD:
            good = at
        elif known[at].state is State.BAD:
            bad = at
    return Bisection(suspects=tuple(commits[good + 1 : bad + 1]), bad=known[bad], tested=tuple(tested))


@dataclass(slots=True)
class Examiner:
    """Runs a case at commits, and says what they are, by how it ends at the bad end."""

    trees: Worktrees
    elsewhere: Elsewhere
    case: str
    _ends: dict[tuple[str, str], Status] = field(default_factory=dict)

    def ends(self, good: Commit, bad: Commit) -> Visit:
        """Look at both ends.

        Raises:
            HarnessError: the case does not fail at `bad`, does not pass at `good`, or cannot be run there.
        """
        runs = self._runs(bad)
        worst = next(
            (status for status in (Status.FAIL, Status.ERROR) if status in {run.status for run in runs}), None
        )
        if worst is None:
            said = ", ".join(sorted({run.status for run in runs}))
            raise HarnessError(
                f"--bad {bad.short}: {self.case} does not fail there: {said}; name a commit where it does"
            )
        self._ends = {(run.case, run.backend): worst for run in runs if run.status is worst}
        first = self._judged(good, self._runs(good))
        if first.state is not State.GOOD:
            said = first.reason or "fails there already"
            raise HarnessError(f"--good {good.short}: {self.case}: {said}; name a commit where it passes")
        return self._judged(bad, runs)

    def test(self, commit: Commit) -> Visit:
        """What a commit is."""
        try:
            return self._judged(commit, self._runs(commit))
        except AbsentError as error:
            return Visit(commit=commit, state=State.SKIPPED, reason=str(error))

    def _runs(self, commit: Commit) -> tuple[Run, ...]:
        try:
            return self.elsewhere.run(self.trees.at(commit), [self.case])
        finally:
            self.trees.drop(commit)

    def _judged(self, commit: Commit, runs: Sequence[Run]) -> Visit:
        found = [run for run in runs if (run.case, run.backend) in self._ends]
        for run in found:
            if run.status in _as_bad(self._ends[run.case, run.backend]):
                return Visit(commit=commit, state=State.BAD, run=run)
        if found and all(run.status is Status.PASS for run in found):
            return Visit(commit=commit, state=State.GOOD, run=found[0])
        said = "; ".join(
            f"{run.status}: {run.message or run.reason}" for run in found if run.status is not Status.PASS
        )
        return Visit(commit=commit, state=State.SKIPPED, reason=said or f"{self.case} is not there")


def _as_bad(end: Status) -> tuple[Status, ...]:
    """Statuses that are as bad as that of the bad end: what fails before an error is broken already."""
    return (Status.FAIL, Status.ERROR) if end is Status.ERROR else (end,)

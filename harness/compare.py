"""Two commits, case by case: A B A B until the answer is clear. `harness.decide` says what is clear."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cases import read_cases
from harness.decide import Comparison, Limits, decide
from harness.elsewhere import DEFAULT, AbsentError, Elsewhere, inside
from harness.model import HarnessError, Run
from harness.repository import Commit
from harness.worktrees import Checkout, Worktrees


@dataclass(frozen=True, kw_only=True, slots=True)
class Absent:
    """A case that could not be run at one of the commits, and why."""

    case: str
    reason: str


@dataclass(slots=True)
class _Pair:
    """The runs of one case on one backend, of either side."""

    before: list[Run] = field(default_factory=list)
    after: list[Run] = field(default_factory=list)


def compare(  # noqa: PLR0913, PLR0917 - what one command is told
    trees: Worktrees,
    commits: tuple[Commit, Commit],
    elsewhere: Elsewhere,
    limits: Limits,
    cases: Sequence[str] = (),
    tags: Sequence[str] = (),
) -> Iterator[Comparison | Absent]:
    """Compare cases at two commits, one file after the other; each comparison comes when it is settled.

    Raises:
        HarnessError: both are the same commit, or no case is there.
    """
    old, new = commits
    if old.hash == new.hash:
        raise HarnessError(f"A and B are the same commit, {old.short}: there is nothing to compare")
    sides = (trees.at(old), trees.at(new))
    for case in _words(sides, cases, tags):
        try:
            yield from _compared(sides, elsewhere, limits, case, tags)
        except AbsentError as error:
            yield Absent(case=case, reason=str(error))


def _compared(
    sides: tuple[Checkout, Checkout], elsewhere: Elsewhere, limits: Limits, case: str, tags: Sequence[str]
) -> Iterator[Comparison]:
    """The cases of one file, A B A B."""
    pairs: dict[tuple[str, str], _Pair] = {}
    found: list[Comparison] = []
    for _ in range(limits.most):
        for side, checkout in zip(("before", "after"), sides, strict=True):
            for run in elsewhere.run(checkout, [case], tags):
                getattr(pairs.setdefault((run.case, run.backend), _Pair()), side).append(run)
        both = [pair for pair in pairs.values() if pair.before and pair.after]
        found = [decide(pair.before, pair.after, limits) for pair in both]
        if all(each.settled for each in found):
            break
    if not found:
        raise AbsentError(f"{case}: no case and backend that both commits have")
    yield from found


def _words(sides: tuple[Checkout, Checkout], cases: Sequence[str], tags: Sequence[str]) -> list[str]:
    """What to compare, a file at a time, so that A and B are close to each other in time."""
    found = [word for case in cases or [DEFAULT] for word in _opened(sides, inside(case), tags)]
    if not found:
        raise HarnessError(f"{', '.join(cases) or DEFAULT}: no case at either commit that is asked for")
    return list(dict.fromkeys(found))


def _opened(sides: tuple[Checkout, Checkout], case: str, tags: Sequence[str]) -> list[str]:
    """The case files in a folder, at either commit; what is no folder as it is."""
    folders = [side for side in sides if (side.folder / case).is_dir()]
    if not folders:
        return [case]
    return sorted(
        {str(path.relative_to(side.folder)) for side in folders for path in _files(side, case, tags)}
    )


def _files(side: Checkout, folder: str, tags: Sequence[str]) -> Iterator[Path]:
    try:
        loaded = read_cases([side.folder / folder])
    except HarnessError:  # there is none in it
        return
    yield from (case.path for case in loaded.cases if not tags or set(tags) & set(case.tags))
    # The commit's own suite may understand what this one does not.
    yield from (mistake.place.path for mistake in loaded.mistakes)

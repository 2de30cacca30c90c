"""Does a fix fix? The case fails before, of one cause; it passes after; and nothing else turns red."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.elsewhere import AbsentError, Elsewhere, stem_of
from harness.model import Run, Status
from harness.worktrees import Checkout

REPEATS = 2
BAD = (Status.FAIL, Status.ERROR)
NAMELESS = "no known cause"


class Answer(StrEnum):
    """What came of a fix."""

    CONFIRMED = "fix confirmed"
    NOT_REPRODUCED = "not reproduced"
    NOT_FIXED = "not fixed"
    BREAKS = "breaks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """reason: why not confirmed, in a line. cause: what the case failed of before. runs: what shows it.

    others: how many other runs were looked at.
    """

    answer: Answer
    reason: str = ""
    cause: str = ""
    runs: tuple[Run, ...] = ()
    others: int = 0


def validate_fix(  # noqa: PLR0913 - what one command is told
    before: Checkout,
    after: Checkout,
    elsewhere: Elsewhere,
    case: str,
    *,
    diagnosis: str = "",
    tags: Sequence[str] = ("smoke",),
) -> Validation:
    """Hold a case to both commits, and all cases with these tags to the one after.

    Raises:
        AbsentError: the case cannot be run at one of the commits.
    """
    failed = _reproduced([elsewhere.run(before, [case]) for _ in range(REPEATS)], diagnosis)
    if failed.answer is not Answer.CONFIRMED:
        return failed
    runs = [run for _ in range(REPEATS) for run in elsewhere.run(after, [case])]
    left = [run for run in runs if run.status is not Status.PASS]
    if left or not runs:
        return Validation(
            answer=Answer.NOT_FIXED, reason=_left(left, failed.cause), cause=failed.cause, runs=(*left[:1],)
        )
    others, broken = _others(before, after, elsewhere, case, tags)
    names = ", ".join(f"{run.case} [{run.backend}]" for run in broken)
    answer = Answer.BREAKS if broken else Answer.CONFIRMED
    return Validation(answer=answer, reason=names, cause=failed.cause, runs=broken, others=others)


def _reproduced(repeats: Sequence[Sequence[Run]], diagnosis: str) -> Validation:
    """`CONFIRMED` if the case fails in all repeats, on some backend always of the same cause."""
    by_place = [{(run.case, run.backend): run for run in runs} for runs in repeats]
    bad = [runs for runs in (_everywhere(by_place, place) for place in by_place[0]) if _all_bad(runs)]
    if not bad:
        reason = f"before, the case does not fail each time, but gives {_said(repeats) or 'nothing'}"
        return Validation(answer=Answer.NOT_REPRODUCED, reason=reason)
    for runs in bad:
        causes = [cause_of(run) for run in runs]
        known = all(diagnosis in {each.name for each in run.diagnoses} for run in runs)
        if len(set(causes)) == 1 and (known or not diagnosis):
            return Validation(answer=Answer.CONFIRMED, cause=diagnosis or causes[0])
    found = ", then ".join(cause_of(run) for run in bad[0])
    reason = f"before, the case fails of {found}; expected {diagnosis or 'the same cause each time'}"
    return Validation(answer=Answer.NOT_REPRODUCED, reason=reason, runs=(bad[0][0],))


def _said(repeats: Sequence[Sequence[Run]]) -> str:
    """Each status once, with the words of the first run that has it where it is an error."""
    first = {run.status: run for runs in reversed(repeats) for run in reversed(runs)}
    return ", ".join(
        f"{status} ({run.message})" if status is Status.ERROR and run.message else status
        for status, run in sorted(first.items())
    )


def _everywhere(repeats: Sequence[dict[tuple[str, str], Run]], place: tuple[str, str]) -> list[Run]:
    return [runs[place] for runs in repeats if place in runs]


def _all_bad(runs: Sequence[Run]) -> bool:
    return len(runs) == REPEATS and all(run.status is Status.FAIL for run in runs)


def cause_of(run: Run) -> str:
    """The name of the likeliest diagnosis."""
    return run.diagnoses[0].name if run.diagnoses else NAMELESS


def _left(left: Sequence[Run], cause: str) -> str:
    if not left:
        return "after, nothing of the case ran"
    run = left[0]
    same = f", of {cause} still" if cause_of(run) == cause else ""
    return f"after, {run.case} [{run.backend}] gives {run.status}{same}"


def _others(
    before: Checkout, after: Checkout, elsewhere: Elsewhere, case: str, tags: Sequence[str]
) -> tuple[int, tuple[Run, ...]]:
    """How many other runs there are, and those of them that are red after and were not before."""
    try:
        runs = elsewhere.run(after, [], tags)
    except AbsentError:  # no case carries the tag
        return 0, ()
    own = stem_of(case.rpartition("/")[2]).removesuffix(".yaml").removesuffix(".yml")
    others = [run for run in runs if stem_of(run.case) != own]
    red = [run for run in others if run.status in BAD]
    return len(others), tuple(run for run in red if not _was_red(before, elsewhere, run))


def _was_red(before: Checkout, elsewhere: Elsewhere, run: Run) -> bool:
    try:
        earlier = elsewhere.run(before, [run.case])
    except AbsentError:
        return False
    return any(each.backend == run.backend and each.status in BAD for each in earlier)

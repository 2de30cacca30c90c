"""What is new since the last night: failures that were not there, those that were, and what healed. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.model import Run, Status
from harness.quarantine import NAME, holds, needless

BAD = (Status.FAIL, Status.ERROR)
Cell = tuple[str, str]
"""A case's name and a backend's."""


class Session(Protocol):
    """What is asked of a session. `harness.sessions.Session` is one."""

    @property
    def id(self) -> str:
        """The name that its runs bear."""
        ...

    @property
    def started(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def finished(self) -> float | None:
        """When it came to its end; None when it has not."""
        ...

    @property
    def plan(self) -> Any:
        """What was to be run: a list of case, backend and digest."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """A night beside the last one; each run of the night is in one group at most.

    new: they fail or broke, and did not so before: not at all, in another check, or for another reason.
    known: they did. quarantined: what a quarantine holds back. healed: they pass again.
    lost: they were judged before, and are skipped. needless: they pass although in quarantine.
    """

    new: tuple[Run, ...] = ()
    known: tuple[Run, ...] = ()
    quarantined: tuple[Run, ...] = ()
    healed: tuple[Run, ...] = ()
    lost: tuple[Run, ...] = ()
    needless: tuple[Run, ...] = ()


def last_night(sessions: Iterable[Session], session: str) -> Session | None:
    """The finished session before this one that shares most of its plan; the newest of several.

    So it is the newest one with the same or a larger plan, and where a case is new tonight, the one before.
    On what kind of machine it ran does not matter: a failure is one everywhere.
    """
    ordered = sorted(sessions, key=lambda one: (one.started, one.id))
    at = next((number for number, one in enumerate(ordered) if one.id == session), 0)
    plan = _cells(ordered[at].plan) if ordered else set()
    earlier = [one for one in ordered[:at] if one.finished is not None and plan & _cells(one.plan)]
    return max(reversed(earlier), key=lambda one: len(plan & _cells(one.plan)), default=None)


def news(runs: Sequence[Run], before: Iterable[Run] = ()) -> News:
    """Tonight's runs beside those of the last night."""
    last = {(run.case, run.backend): run for run in before}
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_group(run, last.get((run.case, run.backend))), []).append(run)
    groups.pop("", None)
    return News(**{name: tuple(found) for name, found in groups.items()})


def counts(runs: Iterable[Run]) -> str:
    """`26 passed, 2 failed, 1 skipped, 1 in quarantine`: how many runs came to what."""
    every = list(runs)
    found = Counter(str(run.status) for run in every)
    errors = "error" if found["error"] == 1 else "errors"
    words = {"pass": "passed", "fail": "failed", "error": errors, "skip": "skipped"}
    parts = [f"{found[status]} {word}" for status, word in words.items() if found[status] or status == "pass"]
    held = sum(map(holds, every))
    return ", ".join([*parts, f"{held} in quarantine"] if held else parts)


def bad_checks(run: Run) -> frozenset[str]:
    """The checks that failed or broke; where none was asked, the reason."""
    found = {verdict.check for verdict in run.verdicts if verdict.status in BAD}
    return frozenset(found - {NAME}) or frozenset({run.reason})


def _group(run: Run, last: Run | None) -> str:
    if run.status in BAD:
        return "quarantined" if holds(run) else "known" if last and _same(run, last) else "new"
    if run.status is Status.SKIP:
        return "lost" if last and last.status is not Status.SKIP else ""
    if needless(run):
        return "needless"
    return "healed" if last and last.status in BAD else ""


def _same(run: Run, last: Run) -> bool:
    """Whether a failure is the last night's: of the same kind, and in no check that passed then.

    One that a quarantine held back until now is new: from tonight on, somebody has to act.
    """
    return run.status is last.status and not holds(last) and bad_checks(run) <= bad_checks(last)


def _cells(plan: Any) -> set[Cell]:
    rows = plan if isinstance(plan, list | tuple) else ()
    return {(str(row[0]), str(row[1])) for row in rows if isinstance(row, list | tuple) and len(row) > 1}

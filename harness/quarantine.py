"""Quarantine: until a date, a failure that an issue follows up does not fail the night. Pure.

A run keeps its status. Among its verdicts stands one named `quarantine`, as long as the case file has one:
skipped while it holds the failure back, failed once it has ended, passed where it is not needed.
"""

from datetime import UTC, datetime

from harness.model import Run, Status, Verdict
from harness.spec import Quarantine

NAME = "quarantine"
JUDGED = (Status.PASS, Status.FAIL, Status.ERROR)


def verdicts_on(
    quarantine: Quarantine | None, backend: str, status: Status, when: float
) -> tuple[Verdict, ...]:
    """What a case's quarantine says of a run that began then (seconds since the epoch); nothing of a skip."""
    if quarantine is None or status not in JUDGED or backend not in (quarantine.backends or (backend,)):
        return ()
    ended = datetime.fromtimestamp(when, UTC).date() > quarantine.until
    said, reason, message = _words(quarantine, status, ended=ended)
    verdict = Verdict(check=NAME, status=said, observed=quarantine.issue, reason=reason, message=message)
    return (verdict,)


def _words(quarantine: Quarantine, status: Status, *, ended: bool) -> tuple[Status, str, str]:
    until, issue = quarantine.until, quarantine.issue
    if status is Status.PASS:
        return Status.PASS, "not_needed", f"passes: take the quarantine out of the case file ({issue})"
    if ended:
        advice = f"mend the case or give the quarantine a later date ({issue})"
        return Status.FAIL, "quarantine_ended", f"ended with {until}: {advice}"
    return Status.SKIP, "quarantined", f"in quarantine until {until}: {issue}"


def of(run: Run) -> Verdict | None:
    """What was said of a run's quarantine; None where its case had none."""
    return next((verdict for verdict in run.verdicts if verdict.check == NAME), None)


def holds(run: Run) -> bool:
    """Whether a failure of this run is held back."""
    verdict = of(run)
    return verdict is not None and verdict.reason == "quarantined"


def needless(run: Run) -> bool:
    """Whether a quarantined run passes."""
    verdict = of(run)
    return verdict is not None and verdict.reason == "not_needed"

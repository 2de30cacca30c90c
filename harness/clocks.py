"""What dates and starts tell of the machines: a clock that was wrong, a name that several share. Pure."""

import math
from collections.abc import Iterable
from datetime import datetime

from harness.model import Run

SLACK = 3600.0
"""Seconds that clocks of several machines may differ without a word."""


def misdated(runs: Iterable[Run], now: float) -> tuple[Run, ...]:
    """Runs of a clock that was wrong: dated after now, or before the commit that they are of."""
    return tuple(run for run in runs if run.started > now + SLACK or run.started + SLACK < _committed(run))


def well_dated(runs: Iterable[Run], now: float = math.inf) -> list[Run]:
    """The runs whose place in time is known; now: without it, dates after now are believed."""
    every = list(runs)
    wrong = {run.id for run in misdated(every, now)}
    return [run for run in every if run.id not in wrong]


def namesakes(runs: Iterable[Run]) -> tuple[str, ...]:
    """Hosts whose name several machines share: no machine comes back to a start that it has left."""
    starts: dict[str, list[str]] = {}
    for run in sorted(runs, key=lambda run: (run.started, run.id)):
        host, boot = (str(run.environment.get(name) or "") for name in ("host", "boot"))
        seen = starts.setdefault(host, [])
        if host and boot and seen[-1:] != [boot]:
            seen.append(boot)
    return tuple(host for host, seen in starts.items() if len(seen) > len(set(seen)))


def _committed(run: Run) -> float:
    """Seconds since the epoch; minus infinity where no date was recorded."""
    try:
        return datetime.fromisoformat(str(run.environment.get("commit_date"))).timestamp()
    except ValueError:
        return -math.inf

"""Since when: lasting changes of a metric, whether they healed, and whether it was the code. Pure.

Times and memory go by `harness.change_points`. What the same code on the same kind of machine computes bit
for bit goes by comparison: there every difference is a change.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from harness.change_points import WINDOW, ChangePoint, change_points
from harness.history import Point, Series, all_series
from harness.model import Run
from harness.units import show

EXACT = ("parameters", "first_loss", "final_loss", "held_out_loss")
TOLD = (*EXACT, "step_time", "startup_time", "peak_memory")
"""Metrics whose changes are told; the others follow from these."""
RESTLESS = 5
"""An exact metric that changed so often, and more often than not, is not computed bit for bit."""
ROUNDING = 1e-5
"""Share up to which exact metrics differ by the order of their sums: neither better nor worse."""
HEALED = 0.25
"""Share of a change that may be left when it counts as healed."""
EXPLAINED = 0.5
"""Share of a change of time that the canary must show, too: then the machine became slower or faster."""
AROUND = 5
"""Runs on either side of a change in which the environment must have been settled."""
NEAR = 1
"""How many runs the place of a change is uncertain by."""
PASSING = ("commit", "commit_date", "branch", "dirty", "boot", "canary")
"""What differs from run to run, or is compared by itself."""
MEANT = ("case", "backend", "case revision", "problem digest")
"""Differences between series after which other numbers are what was wanted."""

Kind = Literal["regression", "improvement", "change"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One lasting change of a metric of one case on one backend.

    kind: `change` where neither way is better, or where only the rounding is another. before, after: the
    levels, in base units. run, when, commit: of the first run on the new level; last_commit: of the run
    before it. environment: what changed there at the same time besides the code, in words; '' when nothing is
    known that did. healed: the run with which the level came back (from a regression also: became better);
    '' while it stands. An improvement that went back is no longer one.
    """

    case: str
    backend: str
    metric: str
    unit: str
    kind: Kind
    before: float
    after: float
    run: str
    when: float
    commit: str | None
    last_commit: str | None
    environment: str = ""
    healed: str = ""

    @property
    def share(self) -> float:
        """The change over the level before; infinite from 0."""
        return (self.after - self.before) / abs(self.before) if self.before else math.inf


def changes(runs: Iterable[Run], metrics: Sequence[str] = TOLD) -> tuple[Change, ...]:
    """All changes of these metrics, in the order of time.

    Raises:
        HarnessError: there is no such metric.
    """
    every = list(runs)
    return changes_in(all_series(every, metrics), every)


def changes_in(by_metric: Mapping[str, Sequence[Series]], runs: Iterable[Run]) -> tuple[Change, ...]:
    """All changes of some series, as `all_series` gives them, in the order of time; runs: theirs."""
    by_id = {run.id: run for run in runs}
    found = [change for every in by_metric.values() for change in _of_metric(every, by_id)]
    return tuple(sorted(found, key=lambda change: (change.when, change.case, change.backend)))


def _of_metric(every: Sequence[Series], by_id: Mapping[str, Run]) -> Iterable[Change]:
    earlier: dict[tuple[str, str], Series] = {}
    for one in every:
        before = earlier.get((one.case, one.backend))
        if before is not None:
            yield from _across(before, one)
        yield from _within(one, by_id)
        earlier[one.case, one.backend] = one


def _within(one: Series, by_id: Mapping[str, Run]) -> Iterable[Change]:
    """Changes between runs of one kind."""
    found = _points_of_change(one.metric, [point.value for point in one.points])
    runs = [by_id[point.run] for point in one.points]
    for number, change in enumerate(found):
        later = found[number + 1].at if number + 1 < len(found) else len(runs)
        first = found[number - 1].at if number else 0
        healer = next((other for other in found[number + 1 :] if _heals(one, change, other)), None)
        yield _change(
            one,
            change,
            one.points,
            environment=_environment(one, runs, change, (first, later)),
            healed="" if healer is None else one.points[healer.at].run,
        )


def _across(before: Series, after: Series) -> Iterable[Change]:
    """The change from one kind of run to the next; none where other numbers were wanted."""
    if after.difference.partition(":")[0] in MEANT:
        return
    start = after.points[0].when
    old = [point for point in before.points if point.when < start][-WINDOW:]
    joined = (*old, *after.points)
    found = _points_of_change(after.metric, [point.value for point in joined])
    for change in found:
        if abs(change.at - len(old)) <= (0 if after.metric in EXACT else NEAR):
            yield _change(after, change, joined, environment=after.difference)


def _points_of_change(metric: str, values: Sequence[float]) -> tuple[ChangePoint, ...]:
    if metric in EXACT:
        found = _differences(values)
        if len(found) < RESTLESS or 2 * len(found) <= len(values):
            return found
    return change_points(values)


def _differences(values: Sequence[float]) -> tuple[ChangePoint, ...]:
    """Every value that is not the one before it."""
    return tuple(
        ChangePoint(at=at, known=at, before=values[at - 1], after=values[at], score=math.inf)
        for at in range(1, len(values))
        if values[at] != values[at - 1] and not (math.isnan(values[at]) and math.isnan(values[at - 1]))
    )


def _change(one: Series, found: ChangePoint, points: Sequence[Point], **more: str) -> Change:
    first = points[found.at]
    return Change(
        case=one.case,
        backend=one.backend,
        metric=one.metric,
        unit=one.unit,
        kind=_kind(one, found),
        before=found.before,
        after=found.after,
        run=first.run,
        when=first.when,
        commit=first.commit,
        last_commit=points[found.at - 1].commit,
        **more,
    )


def _kind(one: Series, found: ChangePoint) -> Kind:
    """NaN is worse than any number."""
    small = abs(found.after - found.before) <= ROUNDING * abs(found.before)
    if one.better == "none" or (one.metric in EXACT and small):
        return "change"
    if math.isnan(found.before):
        return "improvement"
    better = found.after < found.before if one.better == "lower" else found.after > found.before
    return "improvement" if better else "regression"


def _heals(one: Series, change: ChangePoint, other: ChangePoint) -> bool:
    """Whether a later level is nearly the one before a change, or on the other side of it."""
    kind = _kind(one, change)
    if math.isnan(other.after):
        return kind == "improvement"
    if math.isnan(change.before) or math.isnan(change.after):
        return math.isnan(change.after)
    left = (other.after - change.before) / (change.after - change.before)
    return abs(left) <= HEALED if kind == "change" else left <= HEALED


def _environment(one: Series, runs: Sequence[Run], change: ChangePoint, reach: tuple[int, int]) -> str:
    """What changed around the code just there. reach: from the change before to the one after."""
    near = 0 if one.metric in EXACT else NEAR
    for place in sorted(range(change.at - near, change.at + near + 1), key=lambda at: abs(at - change.at)):
        found = _settled(runs[max(0, place - AROUND) : place], runs[place : place + AROUND])
        if found:
            return found
    found = _canary(one, change, runs[reach[0] : change.at], runs[change.at : reach[1]])
    return found or _same_code(runs[max(0, change.at - near - 1) : change.at + near + 1])


def _settled(before: Sequence[Run], after: Sequence[Run]) -> str:
    """The first part of the environment that was one thing before and is another since."""
    if not before or not after:
        return ""
    old, new = ([_surroundings(run) for run in side] for side in (before, after))
    for key in old[-1]:
        values = [{str(each.get(key)) for each in side} for side in (old, new)]
        if all(len(each) == 1 for each in values) and values[0] != values[1]:
            return f"{key}: {values[0].pop()} and {values[1].pop()}"
    return ""


def _surroundings(run: Run) -> dict[str, Any]:
    every = {**run.environment, **run.facts.environment}
    return {key: value for key, value in every.items() if key not in PASSING}


def _canary(one: Series, change: ChangePoint, before: Sequence[Run], after: Sequence[Run]) -> str:
    """Whether a fixed computation became slower or faster with the metric, by half as much at least."""
    way = 1.0 if one.unit == "s" else -1.0 if one.unit.endswith("/s") else 0.0
    old, new = (_canaries(side) for side in (before, after))
    if not way or not len(old) or not len(new) or min(change.before, change.after) <= 0:
        return ""
    low, high = float(np.median(old)), float(np.median(new))
    noise = float(np.median(np.abs(np.concatenate([old - low, new - high])))) / 0.6745
    clear = abs(high - low) > 4 * noise * math.sqrt(1 / len(old) + 1 / len(new))
    enough = way * math.log(high / low) / math.log(change.after / change.before) >= EXPLAINED
    words = f"canary kernel: {show(low, 's')} and {show(high, 's')}"
    return words if clear and enough else ""


def _canaries(runs: Sequence[Run]) -> "np.ndarray[Any, np.dtype[np.float64]]":
    found = [run.environment.get("canary") for run in runs]
    return np.array([each for each in found if isinstance(each, float) and each > 0], np.float64)


def _same_code(runs: Sequence[Run]) -> str:
    """Where no commit lies between, it was not the code."""
    commits = {run.environment.get("commit") for run in runs}
    clean = all(run.environment.get("dirty") is False for run in runs)
    known = commits.pop() if clean and len(commits) == 1 else None
    return "" if known is None else f"the commit stayed {known[:9]}"

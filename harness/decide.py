"""What repeated runs of two commits say of a case: worse, better, the same, or not yet clear. Pure.

What repeats to the bit on either side is compared exactly: any difference is the code's. What does not is
compared by `harness.effects`, in a few looks that share one error between them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from harness.changes import EXACT, ROUNDING
from harness.comparable import same_kind
from harness.diverge import NONE, parting_of
from harness.effects import Effect, effect
from harness.history import Metric, comparable_facts, metric_named
from harness.model import Run, Status

COMPARED = (*EXACT, "step_time", "startup_time", "peak_memory")
"""The metrics that are compared; those of `EXACT` to the bit, where they repeat."""
LOOKS = (5, 7, 10, 14, 20, 28, 40)
"""Rounds after which noisy metrics are looked at: each look takes its part of the error."""
ERROR = 0.05
"""How often the intervals of one metric may miss, over all looks together."""
FEWEST = 2
"""Rounds without which nothing counts as repeated."""
FEW = 4
"""Runs of either side without which `ERROR` allows no interval, in one look."""
BAD = (Status.FAIL, Status.ERROR)


class Kind(StrEnum):
    """What came of a comparison, the worst first."""

    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    IMPROVEMENT = "improvement"
    CHANGE = "change"
    SKIPPED = "skipped"
    SAME = "same"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """threshold: the smallest effect of interest, a share. most: rounds. metrics: only these, where named.

    recorded: what is there is all there will be. It is looked at once; the number of runs may differ, and one
    run is enough where a training is known to repeat.
    """

    threshold: float = 0.05
    most: int = 14
    metrics: tuple[str, ...] = ()
    recorded: bool = False

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many rounds noisy metrics are looked at."""
        return tuple(look for look in LOOKS if look < self.most) + (
            (self.most,) if self.most >= LOOKS[0] else ()
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One metric. before, after: medians; share: how far it moved, low to high its confidence interval.

    exact: it repeats to the bit on both sides. note: where two trainings part, or why nothing is said.
    """

    metric: str
    unit: str
    kind: Kind
    before: float = math.nan
    after: float = math.nan
    share: float = math.nan
    low: float = -math.inf
    high: float = math.inf
    exact: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One case on one backend at two commits.

    status: what the case says, of which `outcome` is the kind; failed: in so many runs of either side, of
    which there are `runs`; a finding that is skipped rests on too few of them, and does not count.
    worst: a run that shows why, of the side that is worse. unlike: why numbers may well differ.
    """

    case: str
    backend: str
    rounds: int
    runs: tuple[int, int]
    status: tuple[Status, Status]
    failed: tuple[int, int]
    outcome: Kind
    worst: Run
    findings: tuple[Finding, ...]
    unlike: str = ""

    @property
    def kind(self) -> Kind:
        """The worst of all: a regression tells more than what is not clear."""
        kinds = {self.outcome, *(each.kind for each in self.findings if each.kind is not Kind.SKIPPED)}
        return next(kind for kind in Kind if kind in kinds)

    @property
    def settled(self) -> bool:
        """Whether further rounds would not change the answer."""
        return self.rounds >= FEWEST and self.kind is not Kind.INCONCLUSIVE


def decide(before: Sequence[Run], after: Sequence[Run], limits: Limits) -> Comparison:
    """What so many runs of one case on one backend say; unless recorded, as many of either side.

    In the order of time.
    """
    failed = tuple(sum(run.status in BAD for run in side) for side in (before, after))
    runs = len(before), len(after)
    rounds = min(runs)
    skipped = any(run.status is Status.SKIP for run in (before[0], after[0]))
    broken = _broken(before, after)
    unlike = "" if broken else _unlike(before[0], after[0])
    return Comparison(
        case=before[0].case,
        backend=before[0].backend,
        rounds=FEWEST if skipped else rounds,
        runs=runs,
        status=(_status(before), _status(after)),
        failed=(failed[0], failed[1]),
        outcome=Kind.SKIPPED if skipped else _outcome(before, after, limits),
        worst=_worst(before, after),
        findings=() if skipped or broken else tuple(_findings(before, after, limits, unlike)),
        unlike=unlike,
    )


def _outcome(before: Sequence[Run], after: Sequence[Run], limits: Limits) -> Kind:
    """By majority; half of the runs is none. What no longer runs is worse than what fails."""
    was, is_ = (_level(side) for side in (before, after))
    if _too_few((len(before), len(after)), limits) or was is None or is_ is None:
        return Kind.INCONCLUSIVE
    if was == is_:
        return Kind.SAME
    return Kind.REGRESSION if is_ > was else Kind.IMPROVEMENT if is_ == 0 else Kind.CHANGE


def _level(side: Sequence[Run]) -> int | None:
    """How bad most of the runs are: 0 healthy, 1 not, 2 not even run; None where there is no majority."""
    bad, broken = (sum(run.status in which for run in side) for which in (BAD, (Status.ERROR,)))
    if 2 * bad == len(side):
        return None
    return 0 if 2 * bad < len(side) else 1 + (2 * broken > len(side))


def _broken(before: Sequence[Run], after: Sequence[Run]) -> bool:
    """Numbers of a side that mostly did not run are no numbers of its code."""
    return any(_level(side) == 2 for side in (before, after))


def _too_few(runs: tuple[int, int], limits: Limits) -> bool:
    return not limits.recorded and min(runs) < FEWEST


def _status(side: Sequence[Run]) -> Status:
    """What most of the runs say."""
    found = [run.status for run in side]
    return max(dict.fromkeys(found), key=found.count)


def _worst(before: Sequence[Run], after: Sequence[Run]) -> Run:
    bad = [run for run in (*after, *before) if run.status in BAD]
    return bad[0] if bad else after[0]


def _unlike(before: Run, after: Run) -> str:
    """Why other numbers were meant, or are not the code's doing; '' where both compute the same problem."""
    facts = [comparable_facts(run) for run in (before, after)]
    if any(run.facts.problem is None for run in (before, after)):
        facts = [{**each, "problem_digest": None} for each in facts]  # one of them did not get that far
    return same_kind(*facts)


def _findings(before: Sequence[Run], after: Sequence[Run], limits: Limits, unlike: str) -> Iterator[Finding]:
    for name in limits.metrics or COMPARED:
        metric = metric_named(name, (*before, *after))
        old, new = (
            [value for run in side if (value := metric.read(run)) is not None] for side in (before, after)
        )
        if not old and not new:
            continue
        if len(old) != len(before) or len(new) != len(after):
            one_side = not old or not new  # a short program is over, now and then, before it is looked at
            kind = Kind.CHANGE if one_side else Kind.SKIPPED
            yield Finding(metric=name, unit=metric.unit, kind=kind, note="not recorded in every run")
            continue
        exact = name in EXACT and _repeats(old) and _repeats(new)
        if limits.recorded and exact:
            exact = old[0] == new[0] or (_known_to_repeat(before) and _known_to_repeat(after))
        found = _exact(metric, old[0], new[0]) if exact else _noisy(metric, old, new, limits)
        if _too_few((len(before), len(after)), limits):
            found = replace(found, kind=Kind.INCONCLUSIVE)
        elif unlike and found.kind in (Kind.REGRESSION, Kind.IMPROVEMENT):
            found = replace(found, kind=Kind.CHANGE)
        parted = exact and found.kind is not Kind.SAME
        yield replace(found, note=_parting(before[0], after[0])) if parted else found


def _repeats(values: Sequence[float]) -> bool:
    return len({float(value).hex() for value in values}) == 1


def _known_to_repeat(side: Sequence[Run]) -> bool:
    """Several runs told the same; or the one that there is trained twice, and ended in the same bits."""
    told = side[0].facts.answers.get("repeat")
    return len(side) >= FEWEST or (told is not None and told.facts.get("weights_equal") is True)


def _exact(metric: Metric, before: float, after: float) -> Finding:
    """Any difference tells; up to rounding it is neither better nor worse. NaN is worse than any number."""
    apart = after - before
    share = (
        0.0
        if _repeats([before, after])
        else apart / abs(before)
        if before
        else math.copysign(math.inf, apart)
    )
    kind = Kind.SAME if share == 0 else _direction(metric, math.inf if math.isnan(share) else share)
    if math.isnan(before):
        kind = Kind.SAME if math.isnan(after) else Kind.IMPROVEMENT
    if abs(share) <= ROUNDING and kind is not Kind.SAME:
        kind = Kind.CHANGE
    return Finding(
        metric=metric.name, unit=metric.unit, kind=kind, before=before, after=after, share=share, low=share,
        high=share, exact=True,
    )  # fmt: skip


def _noisy(metric: Metric, before: Sequence[float], after: Sequence[float], limits: Limits) -> Finding:
    looks = (len(before),) if limits.recorded else limits.looks
    found = effect(before, after, ERROR / max(1, len(looks)))
    kind = Kind.INCONCLUSIVE
    if len(before) in looks:
        kind = _told(metric, found, limits.threshold)
    few = limits.recorded and found.high - found.low == math.inf and math.isfinite(found.share)
    note = f"{len(before)} and {len(after)} runs are too few to tell" if few else ""
    return Finding(
        metric=metric.name, unit=metric.unit, kind=Kind.SKIPPED if few else kind, note=note, **asdict(found)
    )


def _told(metric: Metric, found: Effect, threshold: float) -> Kind:
    """Clear are an interval without 0 around an effect of interest, and one that holds no such effect."""
    if (found.low > 0 or found.high < 0) and abs(found.share) >= threshold:
        return _direction(metric, found.share)
    return Kind.SAME if -threshold < found.low and found.high < threshold else Kind.INCONCLUSIVE


def _direction(metric: Metric, share: float) -> Kind:
    if metric.better == "none":
        return Kind.CHANGE
    return Kind.REGRESSION if (share > 0) == (metric.better == "lower") else Kind.IMPROVEMENT


def _parting(before: Run, after: Run) -> str:
    """Where the two trainings part; '' where nothing was recorded of them."""
    traces = before.facts.trace, after.facts.trace
    if traces[0] is None or traces[1] is None:
        return ""
    found = parting_of(traces[0], traces[1], NONE)
    return "" if found is None else f"they part at {found.words()}"

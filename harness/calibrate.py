"""Bounds from healthy seeds: runs a case over seeds, and proposes a bound for each number that it holds.

Only healthy runs calibrate: every number finite, every step recorded, and every check passed once the
proposed bounds are in place. What is wrong otherwise is no matter of bounds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.adjust import adjusted, number_at
from harness.checks import Keys, Reading
from harness.documents import Node, plain, read
from harness.families import complete as complete_file
from harness.judge import complete, finite, judge
from harness.model import Facts, HarnessError, Outcome, Status
from harness.proposals import Figure, bounds_for, figure, number_in_file, rounded, widest
from harness.runner import Finished, Runner, Task, impossible
from harness.spec import Case
from harness.yaml_edit import at

FEWEST_SEEDS = 2
ENOUGH_SEEDS = 8
"""With fewer, the standard deviation itself is uncertain by a third and more."""
ROUNDING: Mapping[str, float] = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7}
"""The distance from 1 to the next larger number."""
ONE_SIDED = "better is no failure: only the worse side is proposed"

Runs = Mapping[str, Sequence[Facts]]
"""Facts of healthy runs by backend, in the order of seeds."""


class SickError(HarnessError):
    """A run is not healthy, so nothing can be learned from it about bounds."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """One number of a case file that runs are held to, now and as proposed.

    place: its keys from the top of the file. present, proposed: in base units; text, new_text: as written.
    proposed and new_text are None where nothing is proposed, and `why` says why. side: `low`, `high`, or
    `both` where the number is a distance. figures: by backend; decided_by: the one that sets the bound.
    """

    place: Keys
    unit: str
    kind: str
    side: str
    present: float
    text: str
    proposed: float | None
    new_text: str | None
    figures: Mapping[str, Figure]
    decided_by: str
    why: str = ""

    @property
    def changes(self) -> bool:
        """Whether another number is proposed."""
        return self.proposed is not None and self.proposed != self.present

    @property
    def looser(self) -> bool:
        """Whether the proposed bound lets more pass than the present one."""
        if self.proposed is None:
            return False
        return self.proposed < self.present if self.side == "low" else self.proposed > self.present


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What the healthy seeds of one case propose. absent: backends that did not run, and why."""

    case: Case
    seeds: int
    runs: Runs
    absent: Mapping[str, str]
    bounds: tuple[Bound, ...]


def calibrate(
    case: Case,
    *,
    seeds: int = ENOUGH_SEEDS,
    backends: Sequence[str] = (),
    workers: int = 1,
    on_end: Callable[[int, int], None] = lambda *_: None,
) -> Calibration:
    """Run a case with the seeds 0 to `seeds` - 1 and propose bounds. Nothing is recorded.

    Args:
        case: the case, with the bounds that it has now.
        seeds: how many; at least two.
        backends: those of the case to run on; all where none is named.
        workers: runs at a time.
        on_end: on_end(number, of) hears of each run that ended.

    Raises:
        HarnessError: too few seeds, or no backend that can run here.
        SickError: a run broke, or is sick in a way that no bound mends.
    """
    if seeds < FEWEST_SEEDS:
        raise HarnessError(f"{case.name}: {seeds} seeds, expected at least {FEWEST_SEEDS}: one has no spread")
    chosen, absent = backends_here(case, backends)
    if not chosen:
        raise HarnessError(f"{case.name}: no backend can run here: {'; '.join(absent.values())}")
    runs = _run(case, chosen, seeds, workers, on_end)
    bounds = propose(case, runs, complete_file(case.path, read))
    prove(with_proposals(case, bounds), runs)
    return Calibration(case=case, seeds=seeds, runs=runs, absent=absent, bounds=bounds)


def backends_here(case: Case, wanted: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """The backends of a case that can run here, and why others do not. wanted: leave out all but these."""
    absent = {name: "not asked for" for name in case.backends if wanted and name not in wanted}
    for name in case.backends:
        why = None if name in absent else impossible(Task(case=case, backend=name))
        if why is not None:
            absent[name] = why[0]
    return [name for name in case.backends if name not in absent], absent


def _run(
    case: Case, backends: Sequence[str], seeds: int, workers: int, on_end: Callable[[int, int], None]
) -> Runs:
    cases = [replace(case, config=replace(case.config, seed=seed)) for seed in range(seeds)]
    tasks = [Task(case=each, backend=backend) for backend in backends for each in cases]
    found: dict[tuple[str, int], Facts] = {}
    # closing: a sick run ends those that still run before anything else happens.
    with closing(Runner(workers=workers, cache=Path("out/cache")).run(tasks)) as ends:
        for number, finished in enumerate(ends, start=1):
            refuse_sick(finished)
            found[finished.task.backend, finished.task.case.config.seed] = finished.facts
            on_end(number, len(tasks))
    return {backend: [found[backend, seed] for seed in range(seeds)] for backend in backends}


def refuse_sick(finished: Finished) -> None:
    """Refuse a run that broke, holds a number that is not finite, or was cut short.

    Raises:
        SickError: with the seed, the backend and what is wrong.
    """
    facts, case = finished.facts, finished.task.case
    wrong = "" if facts.outcome is Outcome.COMPLETED else f"{facts.outcome}: {facts.message}"
    verdicts = () if wrong else (*finite(facts), *complete(facts))
    wrong = wrong or next((each.message for each in verdicts if each.status is not Status.PASS), "")
    if wrong:
        raise _sick(case, case.config.seed, finished.task.backend, wrong, "a sick run calibrates nothing")


def propose(case: Case, runs: Runs, file: Node | None = None) -> tuple[Bound, ...]:
    """A bound for each number that the checks hold the runs to, in the order of the case. Pure.

    A check that several backends share gets bounds that hold on all of them. file: the case's file with all
    that it extends, for the manner in which numbers are written.
    """
    shared: dict[tuple[Keys, str], list[str]] = {}
    for backend in runs:
        for name in case.expectations(backend):
            own = name in case.expect_on.get(backend, {})
            shared.setdefault((("expect_on", backend) if own else ("expect",), name), []).append(backend)
    return tuple(
        bound
        for (section, name), backends in shared.items()
        for bound in _of_check(case, (*section, name), {name: runs[name] for name in backends}, file)
    )


def _of_check(case: Case, place: Keys, runs: Runs, file: Node | None) -> list[Bound]:
    check = case.expectations(next(iter(runs)))[str(place[-1])]
    readings: dict[Keys, dict[str, list[Reading]]] = {}
    for backend, each in runs.items():
        for facts in each:
            for keys, reading in check.readings(facts).items():
                # What is not finite fails its check, whatever the bound: `prove` says so.
                if math.isfinite(reading.value):
                    readings.setdefault(keys, {}).setdefault(backend, []).append(reading)
    bounds = {}
    for keys, several in readings.items():
        text = _text(case, (*place, *keys), file)
        # A probe may have skipped its question for all seeds but one.
        enough = {backend: numbers for backend, numbers in several.items() if len(numbers) > 1}
        if enough:
            bounds[keys] = _bound(case, (*place, *keys), text, number_at(check, keys), enough)
    try:
        adjusted(check, {keys: each.proposed for keys, each in bounds.items() if each.proposed is not None})
    except ValueError as error:
        return [replace(each, proposed=None, new_text=None, why=str(error)) for each in bounds.values()]
    return list(bounds.values())


def _bound(
    case: Case, place: Keys, text: str, present: float, several: Mapping[str, Sequence[Reading]]
) -> Bound:
    now = next(iter(several.values()))[0]
    rounding = ROUNDING[case.config.dtype]
    ranges = {backend: bounds_for(readings, rounding) for backend, readings in several.items()}
    wanted = number_in_file(now, *widest(list(ranges.values())))
    new_text, proposed = (None, None) if wanted is None else _written(now, wanted, text, several)
    if wanted == present:
        new_text, proposed = text, present
    return Bound(
        place=place,
        unit=now.unit,
        kind=now.kind,
        side="both" if now.centre is not None else "low" if now.high is None else "high",
        present=present,
        text=text,
        proposed=proposed,
        new_text=new_text,
        figures={backend: figure(readings) for backend, readings in several.items()},
        decided_by=next((name for name, one in ranges.items() if number_in_file(now, *one) == wanted), ""),
        why="" if proposed is not None else ONE_SIDED,
    )


def _text(case: Case, place: Keys, file: Node | None) -> str:
    """What the case says there, as its file has it; a matrix may have put something else in its place."""
    found: Any = case.raw
    for key in place:
        found = found[key]
    node = at(file, place)
    return node.text if node is not None and plain(node) == found else str(found)


def _written(
    now: Reading, wanted: float, text: str, several: Mapping[str, Sequence[Reading]]
) -> tuple[str, float]:
    values = [reading.value for readings in several.values() for reading in readings]
    up = now.centre is not None or now.low is None
    reached = [number_in_file(now, value, value) for value in values]
    extreme = (max if up else min)(each for each in reached if each is not None)
    # A distance is not reached on a side that is open.
    return rounded(wanted, text, now.unit, up=up, cover=None if now.centre is not None else extreme)


def with_proposals(case: Case, bounds: Sequence[Bound]) -> Case:
    """The case with proposed bounds in place of the present ones."""
    expect, expect_on = dict(case.expect), {name: dict(checks) for name, checks in case.expect_on.items()}
    grouped: dict[Keys, dict[Keys, float]] = {}
    for bound in bounds:
        size = 2 if bound.place[0] == "expect" else 3
        if bound.proposed is not None:
            grouped.setdefault(bound.place[:size], {})[bound.place[size:]] = bound.proposed
    for (*section, name), changes in grouped.items():
        checks = expect if section == ["expect"] else expect_on[str(section[1])]
        checks[str(name)] = adjusted(checks[str(name)], changes)
    return replace(case, expect=expect, expect_on=expect_on)


def prove(case: Case, runs: Runs) -> None:
    """Judge every healthy run by a case.

    Raises:
        SickError: a run does not pass.
    """
    for backend, each in runs.items():
        checks = {name: check for name, check in case.expectations(backend).items() if not check.pinned}
        for seed, facts in enumerate(each):
            judgement = judge(checks, facts)
            if judgement.status in (Status.FAIL, Status.ERROR):
                raise _sick(case, seed, backend, judgement.message, "no proposed bound mends that")


def _sick(case: Case, seed: int, backend: str, wrong: str, so: str) -> SickError:
    return SickError(f"{case.path}: seed {seed} on {backend}: {' '.join(wrong.split())}; {so}")

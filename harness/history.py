"""What became of a case over time: its runs as lines, and each metric as a series of comparable runs. Pure.

Runs of unlike machines, versions or problems never share a series (`harness.comparable.same_kind`).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from harness.checks._common import start_and_end
from harness.comparable import MACHINE_PARTS, kind, same_kind
from harness.discover import suggest
from harness.model import HarnessError, Run, Status, Trace

Better = Literal["lower", "higher", "none"]
PHASES = ("build", "train", "evaluate", "program")
PEAKS = tuple(f"peak_memory.{phase}" for phase in PHASES)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow(Run):
    """A run without trace and samples, light enough to load by the thousand, with the losses of `losses`."""

    first_loss: float | None = None
    final_loss: float | None = None
    loss_drop: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """A case on a backend: how many runs are on record, and the newest of them."""

    case: str
    backend: str
    runs: int
    newest: str
    started: float
    status: Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """first and final: medians of the first and last steps; drop: (first - final) / |first|, a share."""

    first: float
    final: float
    drop: float


def losses(trace: Trace | None) -> Losses | None:
    """The loss of a trace in three numbers, over the default window of `loss_drop`; None without steps."""
    if trace is None or trace.steps == 0:
        return None
    first, final = start_and_end(trace, None)
    drop = (first - final) / abs(first) if first else math.nan
    return Losses(first=first, final=final, drop=drop)


def _measured(name: str) -> Callable[[Run], float | None]:
    def read(run: Run) -> float | None:
        found = run.facts.measurements.get(name)
        return None if found is None else found.value

    return read


def _loss(name: Literal["first", "final", "drop"]) -> Callable[[Run], float | None]:
    of_row = attrgetter({"first": "first_loss", "final": "final_loss", "drop": "loss_drop"}[name])
    of_losses = attrgetter(name)

    def read(run: Run) -> float | None:
        found = run if isinstance(run, RunRow) else losses(run.facts.trace)
        value: float | None = (of_row if isinstance(run, RunRow) else of_losses)(found) if found else None
        return value

    return read


def _highest_phase(run: Run) -> float | None:
    measured = run.facts.measurements
    return max((measured[name].value for name in PEAKS if name in measured), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number of a run. unit as in `Measurement`; better: which way is an improvement."""

    name: str
    unit: str
    better: Better
    about: str
    read: Callable[[Run], float | None] = field(repr=False, compare=False)


def _metric(
    name: str, unit: str, better: Better, about: str, read: Callable[[Run], float | None] | None = None
) -> Metric:
    return Metric(name=name, unit=unit, better=better, about=about, read=read or _measured(name))


_TABLE = (
    _metric("parameters", "", "none", "parameters of the live model", lambda run: run.facts.parameters),
    _metric("first_loss", "", "none", "loss at the start (median)", _loss("first")),
    _metric("final_loss", "", "lower", "loss at the end (median)", _loss("final")),
    _metric("held_out_loss", "", "lower", "loss on data that was not trained on"),
    _metric("loss_drop", "%", "higher", "fall of the loss", _loss("drop")),
    _metric("step_time", "s", "lower", "time of a step in the steady state"),
    _metric("first_step_time", "s", "lower", "time of the first step"),
    _metric("startup_time", "s", "lower", "time until ready to train"),
    _metric("throughput", "token/s", "higher", "tokens or samples trained in a second"),
    _metric("peak_memory", "B", "lower", "peak memory, highest of all phases", _highest_phase),
    *(_metric(f"peak_memory.{phase}", "B", "lower", f"peak memory in phase {phase}") for phase in PHASES),
)
METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _TABLE})
"""Every metric with a known good direction. Other measurements are metrics too: better 'none'."""


class Point(NamedTuple):
    """One run in a series. A tuple: a report makes tens of thousands of them."""

    run: str
    when: float
    commit: str | None
    dirty: bool | None
    status: Status
    value: float


_Head = tuple[str, float, str | None, bool | None, Status]
"""What a point holds besides its value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A metric of one case on one backend over comparable runs, in the order of time.

    difference: what sets it apart from the series of this case and backend that began before it; '' if none.
    """

    case: str
    backend: str
    metric: str
    unit: str
    better: Better
    points: tuple[Point, ...]
    difference: str = ""


def comparable_facts(run: Run) -> dict[str, Any]:
    """What `same_kind` compares of a run: fingerprint, worker's environment, case, revision, problem."""
    problem = run.facts.problem
    return {
        **run.environment,
        **run.facts.environment,
        "case": run.case,
        "backend": run.backend,
        "revision": run.revision,
        "problem_digest": None if problem is None else problem.digest,
    }


def metric_named(name: str, runs: Iterable[Run] = ()) -> Metric:
    """A metric of the table, or any measurement that one of the runs holds.

    Raises:
        HarnessError: neither; names the nearest.
    """
    if name in METRICS:
        return METRICS[name]
    units = {key: found.unit for run in runs for key, found in run.facts.measurements.items()}
    if name not in units:
        raise HarnessError(f"metric '{name}': unknown{suggest(name, (*METRICS, *units))}")
    return _metric(name, units[name], "none", "measurement")


def series(runs: Iterable[Run], metric: str) -> tuple[Series, ...]:
    """One series for each case, backend and kind of run, in the order of time; runs without it stay out.

    Raises:
        HarnessError: there is no such metric.
    """
    return all_series(runs, [metric])[metric]


def all_series(runs: Iterable[Run], metrics: Sequence[str]) -> dict[str, tuple[Series, ...]]:
    """The series of several metrics, by metric; what kind a run is of is found out once.

    Raises:
        HarnessError: there is no such metric.
    """
    ordered = by_time(runs)
    groups = _groups(ordered)
    return {name: _of_groups(metric_named(name, ordered), groups) for name in metrics}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """Runs of one kind by time. heads: of each what every point of it begins with."""

    runs: list[Run] = field(default_factory=list)
    heads: list[_Head] = field(default_factory=list)


def _groups(ordered: Sequence[Run]) -> list[_Group]:
    """Runs by kind: those that may share a series.

    Runs share their environments, so what these come to is found out once for each pair of them.
    """
    machines: dict[tuple[int, int], tuple[Any, ...]] = {}
    found: dict[tuple[Any, ...], _Group] = {}
    for run in ordered:
        where, problem = run.environment, run.facts.problem
        pair = (id(where), id(run.facts.environment))
        if pair not in machines:
            machines[pair] = kind({**where, **run.facts.environment}, MACHINE_PARTS)
        digest = None if problem is None else problem.digest
        group = found.setdefault((run.case, run.backend, run.revision, digest, machines[pair]), _Group())
        group.runs.append(run)
        group.heads.append((run.id, run.started, where.get("commit"), where.get("dirty"), run.status))
    return list(found.values())


def _of_groups(metric: Metric, groups: Sequence[_Group]) -> tuple[Series, ...]:
    """The series of one metric, in the order in which they begin."""
    found = [(group, points) for group in groups if (points := _points(metric, group))]
    found.sort(key=lambda one: (one[1][0].when, one[1][0].run))
    heads: dict[tuple[str, str], Run] = {}
    every = []
    for group, points in found:
        head = group.runs[0]
        before = heads.get((head.case, head.backend))
        difference = same_kind(comparable_facts(before), comparable_facts(head)) if before else ""
        every.append(_series(metric, group, points, difference))
        heads[head.case, head.backend] = head
    return tuple(every)


def _points(metric: Metric, group: _Group) -> tuple[Point, ...]:
    values = map(metric.read, group.runs)
    found = zip(group.heads, values, strict=True)
    return tuple(Point(*head, value) for head, value in found if value is not None)


def _series(metric: Metric, group: _Group, points: tuple[Point, ...], difference: str) -> Series:
    head = group.runs[0]
    return Series(
        case=head.case,
        backend=head.backend,
        metric=metric.name,
        unit=_unit(metric, group.runs),
        better=metric.better,
        points=points,
        difference=difference,
    )


def _unit(metric: Metric, runs: Sequence[Run]) -> str:
    """The recorded unit where there is one, the newest: throughput counts tokens or samples."""
    recorded = (run.facts.measurements.get(metric.name) for run in reversed(runs))
    return next((found.unit for found in recorded if found is not None), metric.unit)


def by_time(runs: Iterable[Run]) -> list[Run]:
    """Runs in the order of time."""
    return sorted(runs, key=lambda run: (run.started, run.id))

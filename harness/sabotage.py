"""Runs the sabotage: healthy trainings, the same ones broken in every way that applies, broken recordings.

What a case says of each fault is held against what it should say. Beside it stands what the naive gate would
have said: a loss drop of 30 %, finite numbers, a gradient norm within 1e-4 to 100.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from harness.backends import Program
from harness.baselines import with_recorded
from harness.checks._common import start_and_end
from harness.diagnoses import Diagnostician
from harness.discover import get, working
from harness.environment import checkout, machine
from harness.faults import Fault, TraceFault, TrainingFault
from harness.judge import Judgement, judge
from harness.matrix import Cell, Effect, Matrix
from harness.model import Facts, Outcome, Status
from harness.pipeline import new_id
from harness.runner import Finished, Runner, Task
from harness.spec import Case
from harness.store import Store, open_store

Choice = Callable[[Case], Sequence[str]]
NAMED_WITHIN = 2
"""A fault counts as named when a right diagnosis is among the first so many."""
NAIVE_DROP = 0.30
NAIVE_NORM = (1e-4, 100.0)


def sabotage(  # noqa: PLR0913 - the settings of one command
    cases: Sequence[Case],
    store_url: str,
    *,
    backends: Sequence[str] = (),
    faults_of: Choice = lambda _: every_fault(),
    workers: int = 1,
    session: str = "",
    on_end: Callable[[int, int], None] = lambda *_: None,
) -> Matrix:
    """Fill and record the matrix of faults and cases. on_end(number, of) hears of each training's end.

    faults_of: the faults to try on a case; a case of which none is asked is not run at all.
    session: what trained in this session of the store, a moment ago, is not trained again.
    """
    began, started = time.monotonic(), time.time()
    tasks, cells = plan(cases, backends, faults_of)
    alarms: list[str] = []
    fair: set[tuple[str, str]] = set()
    with open_store(store_url) as store:
        trained, left = told_apart(tasks, store, session)
        with closing(Runner(workers=workers, cache=Path("out/cache")).run(left)) as ends:
            for number, finished in enumerate(chain(trained, ends), start=1):
                cells += _cells(_with_recorded(finished), faults_of(finished.task.case), alarms, fair)
                on_end(number, len(tasks))
        matrix = Matrix(
            id=new_id(started),
            started=started,
            seconds=time.monotonic() - began,
            healthy_runs=sum(not task.fault for task in tasks),
            alarms=tuple(alarms),
            cells=tuple(sorted((_fairly(one, fair) for one in cells), key=_place)),
            checkout=checkout("."),
        )
        store.add_matrix(matrix)
    return matrix


def every_fault() -> list[str]:
    """The names of all faults that load, benign variants included."""
    return list(working("faults"))


def promised(case: Case) -> list[str]:
    """The faults that a case says it catches, in order of their names."""
    known = working("faults")
    every = [name for name in known if not known[name].benign]
    return every if case.catches == "all" else sorted(case.catches)


def plan(cases: Sequence[Case], backends: Sequence[str], faults_of: Choice) -> tuple[list[Task], list[Cell]]:
    """The trainings to run, healthy ones first, and the cells of faults that do not apply."""
    chosen = [
        (case, backend)
        for case in cases
        for backend in case.backends
        if faults_of(case) and (not backends or backend in backends)
    ]
    healthy, broken, idle = [], [], []
    for case, backend in chosen:
        found, out_of_place = _apart(case, backend, faults_of(case))
        idle += out_of_place
        broken += found
        if found or any(isinstance(get("faults", name)(), TraceFault) for name in faults_of(case)):
            healthy.append(Task(case=case, backend=backend))
    return healthy + broken, idle


def told_apart(tasks: Sequence[Task], store: Store, session: str) -> tuple[list[Finished], list[Task]]:
    """The healthy trainings that are on record in a session, and the tasks that are left to be run."""
    runs = store.runs(session=session) if session else ()
    known = {(run.case, run.backend, run.case_digest): run for run in runs}
    trained, left = [], []
    for task in tasks:
        run = None if task.fault else known.get((task.case.name, task.backend, task.case.digest))
        if run is None:
            left.append(task)
        else:
            facts = store.run(run.id).facts
            trained.append(Finished(task=task, started=run.started, seconds=run.seconds, facts=facts))
    return trained, left


def _apart(case: Case, backend: str, names: Sequence[str]) -> tuple[list[Task], list[Cell]]:
    """The training faults that can be injected here, as tasks, and the others, as cells that say why not."""
    tasks, idle = [], []
    for name in names:
        fault: Fault = get("faults", name)()
        if not isinstance(fault, TrainingFault):
            continue
        why = not_here(fault, case, backend)
        if why:
            idle.append(_idle(case, backend, fault, why))
        else:
            tasks.append(Task(case=case, backend=backend, fault=name))
    return tasks, idle


def not_here(fault: Fault, case: Case, backend: str) -> str:
    """Why a fault cannot be injected into a case on a backend; empty when it can."""
    if fault.backends and backend not in fault.backends:
        return f"only on {', '.join(fault.backends)}" + (f": {fault.because}" if fault.because else "")
    if isinstance(fault, TrainingFault) and issubclass(get("backends", backend), Program):
        return "a program is as it is: nothing can be broken in it from here"
    return fault.not_applicable(case)


def cell(task: Task, facts: Facts, diagnosticians: Iterable[Diagnostician], seconds: float = 0.0) -> Cell:
    """What the case said of a training that was broken on purpose, or why it cannot be broken here."""
    fault: Fault = get("faults", task.fault)()
    if facts.outcome in (Outcome.UNAVAILABLE, Outcome.UNSUPPORTED):
        return _idle(task.case, task.backend, fault, facts.message)
    judgement = judge(task.case.expectations(task.backend), facts, diagnosticians)
    failed = tuple(dict.fromkeys(v.check for v in judgement.verdicts if v.status is Status.FAIL))
    return Cell(
        case=task.case.name,
        backend=task.backend,
        fault=fault.name,
        area=fault.area,
        effect=_effect(fault, facts, judgement),
        naive=facts.outcome is Outcome.COMPLETED and naive_gate_fails(facts),
        message=judgement.message,
        checks=failed,
        diagnoses=tuple(diagnosis.name for diagnosis in judgement.diagnoses),
        seconds=seconds,
    )


def trace_cells(
    task: Task, healthy: Facts, faults: Sequence[str], diagnosticians: Sequence[Diagnostician]
) -> list[Cell]:
    """Every trace fault on the recorded facts of a healthy run; costs no training."""
    cells = []
    for name in faults:
        fault: Fault = get("faults", name)()
        if not isinstance(fault, TraceFault):
            continue
        why = not_here(fault, task.case, task.backend)
        try:
            spoiled = None if why else fault.spoil(healthy)
        except NotImplementedError as reason:
            spoiled, why = None, str(reason)
        broken = Task(case=task.case, backend=task.backend, fault=name)
        if spoiled is None:
            cells.append(_idle(task.case, task.backend, fault, why))
        else:
            cells.append(cell(broken, spoiled, diagnosticians))
    return cells


def naive_gate_fails(facts: Facts) -> bool:
    """What nearly everybody checks: it ran, it is finite, the loss dropped, the gradient norm is sane."""
    trace = facts.trace
    if facts.outcome is not Outcome.COMPLETED or trace is None or trace.steps == 0:
        return True
    norms = np.sqrt((trace.clipped_norm**2).sum(axis=1))
    if not (np.isfinite(trace.loss).all() and np.isfinite(norms).all()):
        return True
    start, end = start_and_end(trace, None)
    sane = NAIVE_NORM[0] <= norms.min() and norms.max() <= NAIVE_NORM[1]
    return not (sane and start - end >= NAIVE_DROP * abs(start))


def _with_recorded(finished: Finished) -> Finished:
    """With its baseline. Bits do not count: harmless variants compute the same in another order."""
    task, here = finished.task, machine()
    facts = with_recorded(finished.facts, task.case, task.backend, here, exactly=False)
    return replace(finished, facts=facts)


def _place(one: Cell) -> tuple[str, str, str, str]:
    return one.area, one.fault, one.case, one.backend


def _fairly(one: Cell, fair: set[tuple[str, str]]) -> Cell:
    """A gate that fails the healthy training has caught nothing when it fails the broken one."""
    return replace(one, naive=one.naive and (one.case, one.backend) in fair)


def _cells(
    finished: Finished, faults: Sequence[str], alarms: list[str], fair: set[tuple[str, str]]
) -> list[Cell]:
    task, diagnosticians = finished.task, [one() for one in working("diagnoses").values()]
    if task.fault:
        return [cell(task, finished.facts, diagnosticians, finished.seconds)]
    if not naive_gate_fails(finished.facts):
        fair.add((task.case.name, task.backend))
    healthy = judge(task.case.expectations(task.backend), finished.facts, diagnosticians)
    if healthy.status in (Status.FAIL, Status.ERROR):
        alarms.append(f"{task.case.name} [{task.backend}] {healthy.message}")
    return trace_cells(task, finished.facts, faults, diagnosticians) if healthy.status is Status.PASS else []


def _effect(fault: Fault, facts: Facts, judgement: Judgement) -> Effect:
    if fault.benign:
        return Effect.QUIET if judgement.status is Status.PASS else Effect.FALSE_ALARM
    # A run that never came to its end, on a busy machine say, shows nothing of what the case would notice.
    if judgement.status is Status.PASS or facts.outcome is not Outcome.COMPLETED:
        return Effect.MISSED
    first = {diagnosis.name for diagnosis in judgement.diagnoses[:NAMED_WITHIN]}
    return Effect.NAMED if first & set(fault.named) else Effect.CAUGHT


def _idle(case: Case, backend: str, fault: Fault, why: str) -> Cell:
    return Cell(
        case=case.name, backend=backend, fault=fault.name, area=fault.area, effect=Effect.NOT_APPLICABLE,
        naive=False, message=why,
    )  # fmt: skip

"""The straight line of the suite, in one screen.

cases/*.yaml -> Case -> Problem -> worker: Backend -> Trainer -> Trace + Probes + Measurements (Facts)
    -> judge -> Verdicts (+ Diagnoses) -> Run -> Store -> History -> Pages -> out/site/index.html
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.baselines import with_recorded
from harness.case_files import CaseFile
from harness.discover import working
from harness.environment import checkout, fingerprint
from harness.judge import judge
from harness.model import Run, Status
from harness.quarantine import holds, verdicts_on
from harness.runner import Finished, Runner, Task
from harness.sessions import Session
from harness.spec import Case
from harness.store import Store, open_store


@dataclass(frozen=True, kw_only=True, slots=True)
class Night:
    """One invocation of `harness run`: its session and all of its runs, in order of the plan.

    store: where they are recorded, for people: without a password.
    """

    session: str
    store: str
    runs: tuple[Run, ...]
    resumed: int = 0

    @property
    def exit_code(self) -> int:
        """0 all passed or skipped, 1 something failed, 2 the user's input, 3 the suite or a backend broke.

        A run that a quarantine holds back counts as if it had passed, but for wrong input.
        """
        found = {_exit_code(run) for run in self.runs}
        return next((code for code in (1, 3, 2) if code in found), 0)


def night(  # noqa: PLR0913 - the settings of one command
    cases: Sequence[Case],
    store_url: str,
    *,
    backends: Sequence[str] = (),
    workers: int = 1,
    resume: bool = False,
    on_run: Callable[[Run, int, int], None] = lambda *_: None,
) -> Night:
    """Run cases on their backends; judge and record each as it ends, and tell `on_run(run, number, of)`."""
    plan = plan_tasks(cases, backends)
    with open_store(store_url) as store:
        session, done = _begin(store, plan, resume=resume)
        store.keep(case_file(case) for case in cases)
        left = [task for task in plan if (task.case.name, task.backend) not in done]
        environment = fingerprint()
        # closing: an interruption ends the jobs that still run before anything else happens.
        with closing(Runner(workers=workers, cache=Path("out/cache")).run(left)) as finished_tasks:
            for number, finished in enumerate(finished_tasks, start=len(done) + 1):
                run = judged(finished, session, environment)
                store.add(run)
                on_run(run, number, len(plan))
        store.finish(session)
        runs = tuple(_in_order(store.runs(session=session), plan))
        return Night(session=session, store=store.where, runs=runs, resumed=len(done))


def plan_tasks(cases: Sequence[Case], backends: Sequence[str] = ()) -> list[Task]:
    """What to run: every case on each of its backends, or on those of them that were asked for."""
    return [
        Task(case=case, backend=backend)
        for case in cases
        for backend in case.backends
        if not backends or backend in backends
    ]


def judged(finished: Finished, session: str, environment: Mapping[str, Any]) -> Run:
    """A finished task as a run: identity, facts and judgement."""
    case, backend = finished.task.case, finished.task.backend
    facts = with_recorded(finished.facts, case, backend, environment)
    judgement = judge(case.expectations(backend), facts, [one() for one in working("diagnoses").values()])
    return Run(
        id=new_id(finished.started),
        session=session,
        case=case.name,
        backend=backend,
        revision=case.revision,
        case_digest=case.digest,
        started=finished.started,
        seconds=finished.seconds,
        status=judgement.status,
        reason=judgement.reason,
        message=judgement.message,
        facts=facts,
        environment=environment,
        verdicts=(
            *judgement.verdicts,
            *verdicts_on(case.quarantine, backend, judgement.status, finished.started),
        ),
        diagnoses=judgement.diagnoses,
    )


def case_file(case: Case) -> CaseFile:
    """What a case says, as the store keeps it."""
    return CaseFile(name=case.name, digest=case.digest, path=str(case.path), raw=case.raw)


def new_id(started: float | None = None) -> str:
    """A unique name that sorts by time: milliseconds since 1970 in hexadecimal, then chance."""
    return f"{int(1000 * (time.time() if started is None else started)):011x}{secrets.token_hex(4)}"


def _begin(store: Store, plan: Sequence[Task], *, resume: bool) -> tuple[str, set[tuple[str, str]]]:
    """A session to record into, and what it holds already when an interrupted one of this commit goes on."""
    names = [[task.case.name, task.backend, task.case.digest] for task in plan]
    session = Session(id=new_id(), started=time.time(), plan=names, checkout=checkout("."))
    unfinished = store.unfinished(session.plan_digest) if resume else None
    if unfinished is not None and unfinished.checkout.get("commit") == session.checkout["commit"]:
        return unfinished.id, {(run.case, run.backend) for run in store.runs(session=unfinished.id)}
    store.begin(session)
    return session.id, set()


def _in_order(runs: Sequence[Run], plan: Sequence[Task]) -> Iterator[Run]:
    place = {(task.case.name, task.backend): number for number, task in enumerate(plan)}
    return iter(sorted(runs, key=lambda run: place[run.case, run.backend]))


def _exit_code(run: Run) -> int:
    if run.status is Status.ERROR and run.reason == "invalid":
        return 2
    if holds(run):
        return 0
    if run.status is Status.ERROR:
        return 3
    return 1 if run.status is Status.FAIL else 0

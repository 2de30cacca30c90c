"""Runs one case on one backend inside an isolated process: from the case to the facts.

Two trainings from the same start: the first is timed and nobody observes it; the second, on a fresh trainer,
is recorded step by step. That they end in the same bits is what the `repeat` probe tells.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from harness.backends import Backend, Program
from harness.codec import write_facts
from harness.discover import get, plugins
from harness.faults import TrainingFault
from harness.measure import OUT_OF_MEMORY, Progress, lift_memory_limit
from harness.model import Answer, Facts, HarnessError, Outcome
from harness.passes import digest, observed_training, timed_training
from harness.probes import Context
from harness.problem import Problem, build_problem
from harness.spec import Case
from harness.trainer import Trainer


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What a worker is told. scratch: a folder of its own; cache: shared, content-addressed.

    fault: the name of a training fault to inject.
    """

    case: Case
    backend: str
    scratch: Path
    cache: Path | None = None
    fault: str = ""

    @property
    def facts_path(self) -> Path:
        """Where the facts are left."""
        return self.scratch / "facts"

    @property
    def progress_path(self) -> Path:
        """Where the worker's standing can be read."""
        return self.scratch / "progress"

    @property
    def log_path(self) -> Path:
        """What the run printed."""
        return self.scratch / "log"


def prepare() -> None:
    """Do once what every run would do first; the fork server calls it before it forks.

    Plugins are looked up, and modules loaded that are otherwise imported when first used: the reference
    model's, and the one that NumPy's median asks for masked arrays.
    """
    for kind in ("backends", "probes"):
        plugins(kind)
    for name in ("harness.models.decoder_numpy", "harness.models.mlp_numpy", "numpy.ma"):
        import_module(name)


def main(job: Job) -> None:
    """Entry point in the isolated process: leaves the facts, whatever happens short of a crash."""
    progress = Progress(job.progress_path)
    try:
        facts = run(job, progress)
    except Exception as error:  # noqa: BLE001 - whatever broke is reported, and the suite goes on
        lift_memory_limit()
        facts = _broken(job, error)
    write_facts(job.facts_path, facts)


def run(job: Job, progress: Progress) -> Facts:
    """Train, observe and ask; the phases are those of `Facts.phase`."""
    backend: Backend = get("backends", job.backend)()
    if isinstance(backend, Program):
        threadpool_limits(job.case.config.threads, user_api="blas")
        return backend.record(job.case, job.scratch, progress)
    environment = _configured(backend, job)
    problem, build = _prepared(job, backend)
    timed = timed_training(build, problem, progress)
    progress.enter("observe")
    observed = build(problem)
    try:
        trace = observed_training(observed, problem, progress, timed)
        progress.enter("probe")
        context = Context(
            problem=problem,
            build=lambda other=problem: build(other),
            observed=observed,
            trace=trace,
            losses=timed.losses,
            weights_digest=timed.digest,
            observed_digest=digest(observed),
            reference=backend.reference,
            scratch=job.scratch,
            cache=job.cache,
            others=_others(job),
        )
        answers = _ask(context, _probes_of(job))
    finally:
        observed.close()
    progress.enter("done")
    return Facts(
        outcome=Outcome.COMPLETED,
        phase="done",
        problem=problem.facts,
        parameters=timed.parameters,
        trace=trace,
        measurements={measurement.name: measurement for measurement in timed.measurements},
        answers=answers,
        environment=environment,
    )


def _configured(backend: Backend, job: Job) -> Mapping[str, Any]:
    """Set up the backend, then NumPy, which serves probes beside it: no more threads than the case asks for.

    In this order: NumPy starts its threads here, and a backend that forks must have done so before.
    """
    if job.cache is not None:
        backend.keep_in(job.cache)
    environment = backend.configure(job.case.config)
    threadpool_limits(job.case.config.threads, user_api="blas")
    return environment


Build = Callable[[Problem], Trainer]


def _prepared(job: Job, backend: Backend) -> tuple[Problem, Build]:
    """The problem and the way to build its trainers, with what is made once for many runs made."""
    problem, build = _injected(job.fault, build_problem(job.case), backend.build)
    backend.prepare(problem)
    return problem, build


def _injected(fault: str, problem: Problem, build: Build) -> tuple[Problem, Build]:
    """The problem and the way to build trainers, both broken by a training fault if one is named."""
    if not fault:
        return problem, build
    spoiler: TrainingFault = get("faults", fault)()

    def build_broken(problem: Problem) -> Trainer:
        trainer = build(problem)
        spoiler.spoil_trainer(trainer)
        return trainer

    return spoiler.spoil_problem(problem), build_broken


def _others(job: Job) -> Iterator[Problem]:
    """The case from the seeds after its own, as many as its checks ask for, each broken like the first."""
    config = job.case.config
    wanted = max((check.trainings for check in job.case.expectations(job.backend).values()), default=1)
    for seed in range(config.seed + 1, config.seed + wanted):
        problem = build_problem(replace(job.case, config=replace(config, seed=seed)))
        yield get("faults", job.fault)().spoil_problem(problem) if job.fault else problem


def _probes_of(job: Job) -> list[str]:
    checks = job.case.expectations(job.backend).values()
    return list(dict.fromkeys(name for check in checks for name in check.probes))


def _ask(context: Context, names: list[str]) -> Mapping[str, Answer]:
    return {name: _ask_one(context, name) for name in names}


def _ask_one(context: Context, name: str) -> Answer:
    start = time.perf_counter()
    try:
        facts = get("probes", name)().ask(context)
    except NotImplementedError as reason:
        return Answer(skipped=str(reason), seconds=time.perf_counter() - start)
    return Answer(facts=facts, seconds=time.perf_counter() - start)


def _broken(job: Job, error: Exception) -> Facts:
    standing = Progress.read(job.progress_path)
    message = _one_line(error)
    if not isinstance(error, HarnessError):
        message = f"{message}, {standing.where(job.case.config.steps)}"
    return Facts(
        outcome=_outcome_of(error), phase=standing.phase, message=message, detail=traceback.format_exc()
    )


def _outcome_of(error: Exception) -> Outcome:
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return Outcome.OUT_OF_MEMORY
    if isinstance(error, HarnessError) and error.exit_code == 2:
        return Outcome.INVALID
    return Outcome.BROKEN


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, HarnessError):
        return text
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__

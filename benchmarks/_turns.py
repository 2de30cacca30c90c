"""One case on several backends, each step in turn: what load the machine has, all of them feel."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from threadpoolctl import threadpool_limits

from harness.backends import Backend
from harness.cases import load_cases
from harness.problem import Problem, build_problem
from harness.trainer import Trainer

CASES = Path(__file__).parent.parent / "cases"
WARM_UP = 2


def problem_of(name: str, steps: int) -> Problem:
    """The problem of a shipped case, with another number of steps."""
    case = next(case for case in load_cases([CASES]).cases if case.name == name)
    return build_problem(replace(case, config=replace(case.config, steps=steps)))


def trainer_of(backend: Backend, problem: Problem) -> Trainer:
    """A trainer as a worker makes it."""
    backend.configure(problem.config)
    threadpool_limits(problem.config.threads, user_api="blas")
    return backend.build(problem)


def step_times(problem: Problem, trainers: Sequence[Trainer]) -> list[float]:
    """Median seconds of a step of each trainer; the first steps warm up."""
    seconds: list[list[float]] = [[] for _ in trainers]
    for batch in problem.batches:
        for trainer, own in zip(trainers, seconds, strict=True):
            start = time.perf_counter()
            trainer.step(batch)
            own.append(time.perf_counter() - start)
    return [median(own[WARM_UP:]) for own in seconds]

"""The two trainings of a run: one is timed and nobody observes it, the other is recorded step by step."""

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from harness.measure import PhaseMemory, Progress, drop_caches, resident_bytes
from harness.model import Measurement, Trace
from harness.optimizers import rule
from harness.problem import Problem
from harness.recorder import Observable, Recorder
from harness.spent import CpuUse
from harness.trainer import Trainer

WARM_UP_STEPS = 1
"""Steps at the start of the timed training that do not count as steady."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """What came of the timed training. resident: bytes after each step; digest: of the weights at its end."""

    losses: list[float]
    resident: list[int]
    digest: str
    parameters: int
    measurements: list[Measurement]


def timed_training(build: Callable[[Problem], Trainer], problem: Problem, progress: Progress) -> Timed:
    """Build, train, evaluate: time and memory of each, while nobody looks inside."""
    progress.enter("build")
    memory = PhaseMemory()
    start = time.perf_counter()
    trainer = build(problem)
    startup = time.perf_counter() - start
    memory.close("build")
    try:
        with memory.left_out():
            if trainer.prepare((*problem.batches, problem.held_out)):
                drop_caches()
        progress.enter("train")
        use = CpuUse()
        losses, seconds, resident = _train(trainer, problem, progress)
        cpu = use.measurements(problem.config.threads)
        memory.close("train")
        progress.enter("evaluate")
        held_out = _held_out_loss(trainer, problem)
        memory.close("evaluate")
        measurements = [
            Measurement(name="startup_time", value=startup, unit="s"),
            Measurement(name="held_out_loss", value=held_out, unit=""),
            *_step_measurements(seconds, problem),
            *cpu,
            *memory.measurements(),
            *trainer.measurements(),
        ]
        parameters = sum(values.size for values in trainer.parameters().values())
        return Timed(
            losses=losses,
            resident=resident,
            digest=digest(trainer),
            parameters=parameters,
            measurements=measurements,
        )
    finally:
        trainer.close()
        del trainer  # else its memory is freed later, and hides what the observed training takes
        drop_caches()


def _train(
    trainer: Trainer, problem: Problem, progress: Progress
) -> tuple[list[float], list[float], list[int]]:
    """Losses, seconds and, between steps, resident bytes: of a training that nobody observes."""
    losses, seconds, resident = [], [], []
    for number, batch in enumerate(problem.batches):
        progress.step(number)
        start = time.perf_counter()
        losses.append(trainer.step(batch))
        seconds.append(time.perf_counter() - start)
        resident.append(resident_bytes())
    return losses, seconds, resident


def _step_measurements(seconds: list[float], problem: Problem) -> Iterable[Measurement]:
    steady = seconds[WARM_UP_STEPS:] or seconds
    middle = float(np.median(steady))
    yield Measurement(name="first_step_time", value=seconds[0], unit="s")
    yield Measurement(name="step_time", value=middle, unit="s", samples=tuple(steady))
    yield Measurement(name="throughput", value=problem.tokens_per_step / middle, unit="token/s")


def _held_out_loss(trainer: Trainer, problem: Problem) -> float:
    trainer.train(False)
    try:
        return trainer.loss(problem.held_out)
    finally:
        trainer.train()


def observed_training(trainer: Trainer, problem: Problem, progress: Progress, timed: Timed) -> Trace:
    """Train and record every step. Memory is that of the timed one: a recorder takes some, too."""
    trace = recorded_training(trainer, problem, progress.step)
    return replace(trace, memory=np.array(timed.resident, np.float64), absent=())


def recorded_training(
    trainer: Trainer, problem: Problem, on_step: Callable[[int], None] = lambda _: None
) -> Trace:
    """Train and record every step but its memory. on_step(number) hears of each step's beginning."""
    recorder = Recorder(
        trainer=cast("Observable", trainer),
        matrices=[len(tensor.shape) >= 2 for tensor in problem.tensors],
        rule=rule(problem.config.optimizer),
        seed=problem.config.seed,
        clips=problem.config.clip_norm is not None,
    )
    for number, batch in enumerate(problem.batches):
        on_step(number)
        recorder.finish_step(trainer.step(batch, recorder))
    return recorder.trace()


def digest(trainer: Trainer) -> str:
    """A hash of all weights, bit by bit."""
    state = hashlib.blake2b(digest_size=16)
    for name, values in trainer.parameters().items():
        state.update(name.encode())
        state.update(np.ascontiguousarray(values).data)
    return state.hexdigest()

"""A small real training: a decoder on a Markov source, for what can only be shown on a live trainer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness.backends import Backend
from harness.discover import get, working
from harness.model import Answer, Array, Facts
from harness.optimizers import rule
from harness.passes import digest
from harness.probes import Context
from harness.problem import Problem, build_problem
from harness.recorder import Recorder
from harness.spec import (
    AdamW,
    AdamWOptimizer,
    Case,
    Config,
    Decoder,
    DecoderModel,
    Markov,
    MarkovData,
    Schedule,
)
from harness.testing.healthy import convergence, healthy_facts, recorded
from harness.trainer import Trainer

MODEL = DecoderModel(decoder=Decoder(vocab=11, width=16, layers=1, heads=2, hidden=24))
SETTINGS: Mapping[str, Any] = {
    "data": MarkovData(markov=Markov()),
    "steps": 6,
    "optimizer": AdamWOptimizer(adamw=AdamW(lr=0.01)),
    "batch": 4,
    "sequence": 8,
    "micro_batches": 2,
    "lengths": (2, 8),
    "schedule": Schedule(kind="cosine", warmup=2, final=0.1),
    "clip_norm": 0.5,
}
"""What a training loop can get wrong: ragged lengths, micro-batches, clipping, a moving learning rate."""


def sample_case(model: Any = MODEL, **config: Any) -> Case:
    """A case that expects nothing. model: of the case; config: replaces or adds to `SETTINGS`."""
    return Case(
        name="sample",
        path=Path("sample.yaml"),
        digest="sample",
        revision=1,
        about="A small decoder on a Markov source.",
        model=model,
        config=Config(**{**SETTINGS, **config}),
        backends=("torch_eager",),
        expect={},
    )


@cache
def sample_problem(model: Any = MODEL, **config: Any) -> Problem:
    """The starting numbers of `sample_case`. Kept and shared: never write to its arrays."""
    return build_problem(sample_case(model, **config))


def recorder_of(trainer: Any, problem: Problem) -> Recorder:
    """A recorder that watches a trainer as the worker's does."""
    return Recorder(
        trainer=trainer,
        matrices=[len(tensor.shape) >= 2 for tensor in problem.tensors],
        rule=rule(problem.config.optimizer),
        seed=problem.config.seed,
        clips=problem.config.clip_norm is not None,
    )


@contextmanager
def observe(backend: Backend, problem: Problem) -> Iterator[Context]:
    """Train twice as the worker does, once unobserved and once recorded: all that a probe may use."""
    backend.configure(problem.config)
    bare, observed = backend.build(problem), backend.build(problem)
    recorder = recorder_of(observed, problem)
    losses = [bare.step(batch) for batch in problem.batches]
    for batch in problem.batches:
        recorder.finish_step(observed.step(batch, recorder))
    try:
        with TemporaryDirectory(prefix="harness-") as scratch:
            yield Context(
                problem=problem,
                build=lambda other=problem: backend.build(other),
                observed=observed,
                trace=recorder.trace(),
                losses=losses,
                weights_digest=digest(bare),
                observed_digest=digest(observed),
                reference=backend.reference,
                scratch=Path(scratch),
                cache=None,
            )
    finally:
        bare.close()
        observed.close()


@cache
def sample_facts(backend: str = "torch_eager") -> Facts:
    """Facts of a real training of 28 steps, with the answers of all probes that can be asked."""
    with observe(get("backends", backend)(), sample_problem(steps=28)) as context:
        return replace(
            healthy_facts(),
            problem=context.problem.facts,
            parameters=context.problem.facts.parameters,
            trace=context.trace,
            answers={
                **{name: _answer(probe(), context) for name, probe in working("probes").items()},
                "recorded": Answer(facts=recorded(context.trace)),
                "convergence": Answer(facts=convergence(context.trace)),
            },
        )


def _answer(probe: Any, context: Context) -> Answer:
    try:
        return Answer(facts=probe.ask(context))
    except Exception as error:  # noqa: BLE001 - its own contract tells; here it would hurt the checks' tests
        return Answer(skipped=str(error) or type(error).__name__)


def relative_distances(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> dict[str, float]:
    """L2 distance of each tensor relative to the norm of theirs.

    Where a gradient is zero in theory, and rounding in practice, relative to 1e-3 of the largest norm.
    """
    norms = {name: float(np.linalg.norm(values)) for name, values in theirs.items()}
    largest = max(norms.values())
    distances = {}
    for name, values in theirs.items():
        distance = float(np.linalg.norm(ours[name].astype(np.float64) - values))
        distances[name] = distance / (norms[name] if norms[name] > 1e-10 * largest else 1e-3 * largest)
    return distances


def copies(trainer: Trainer) -> dict[str, Array]:
    """The parameters of a trainer, copied."""
    return {name: np.array(values) for name, values in trainer.parameters().items()}

"""A healthy training that nobody trained: facts to change one number of and show to a check.

28 steps of three tensors over 27 tokens; the loss falls by 30 % from ln 27, all else stands still.
"""

from dataclasses import replace
from math import log
from typing import Any

import numpy as np

from harness.checks.convergence import steps_to
from harness.model import (
    Anchors,
    Answer,
    Facts,
    Float64,
    Measurement,
    Outcome,
    ProblemFacts,
    Trace,
)

TENSORS = ("embedding", "layers.0.mlp.up.weight", "final_norm.weight")
VOCABULARY = 27
PARAMETERS = 12_416
LEARNING_RATE = 0.01
LOSS_DROP = 0.3
REACHED = 2.9
"""The loss to which steps are counted, from each of several seeds."""


def healthy_trace(steps: int = 28, tensors: tuple[str, ...] = TENSORS, **changes: Any) -> Trace:
    """A trace in which nothing is wrong. changes: fields to replace."""
    trace = Trace(
        tensors=tensors,
        loss=log(VOCABULARY) * (1 - LOSS_DROP * np.linspace(0, 1, steps)),
        learning_rate=np.full(steps, LEARNING_RATE),
        memory=np.full(steps, 100 * 2.0**20),
        gradient_norm=_constant(steps, tensors, 0.5),
        clipped_norm=_constant(steps, tensors, 0.5),
        gradient_largest=_constant(steps, tensors, 0.1),
        gradient_nonzero=_constant(steps, tensors, 1.0),
        weight_norm=_constant(steps, tensors, 2.0),
        weight_mean=_constant(steps, tensors, 0.02),
        update_norm=_constant(steps, tensors, 1e-3),
        update_ratio=_constant(steps, tensors, 1.0),
        update_error=_constant(steps, tensors, 1e-6),
        events={name: np.ones(steps) for name in ("backward", "update", "zero_grad")},
        digests=tuple(f"{step:016x}" for step in range(steps)),
    )
    return replace(trace, **changes)


def healthy_problem(steps: int = 28, **changes: Any) -> ProblemFacts:
    """The problem that the trace was trained on; its entropies are H0 = 2.8 and H1 = 1.5."""
    problem = ProblemFacts(
        digest="healthy",
        vocabulary=VOCABULARY,
        parameters=PARAMETERS,
        shapes={"embedding": (27, 32), "layers.0.mlp.up.weight": (128, 32), "final_norm.weight": (32,)},
        anchors=Anchors(uniform=log(VOCABULARY), unigram=2.8, floor=1.5),
        tokens_per_step=16.0,
        samples_per_step=2,
        steps=steps,
        learning_rates=(LEARNING_RATE,) * steps,
    )
    return replace(problem, **changes)


def healthy_facts(trace: Trace | None = None, **changes: Any) -> Facts:
    """Facts in which nothing is wrong, of a completed run. changes: fields to replace."""
    trace = healthy_trace() if trace is None else trace
    facts = Facts(
        outcome=Outcome.COMPLETED,
        phase="done",
        problem=healthy_problem(trace.steps),
        parameters=PARAMETERS,
        trace=trace,
        measurements={each.name: each for each in MEASUREMENTS},
        answers={
            "repeat": Answer(facts=REPEAT),
            "reference": Answer(facts=_reference(trace)),
            "recorded": Answer(facts=recorded(trace)),
            "convergence": Answer(facts=convergence(trace)),
        },
        environment={"device": "cpu", "threads": 1, "dtype": "float32"},
    )
    return replace(facts, **changes)


MEASUREMENTS = (
    Measurement(name="startup_time", value=0.1, unit="s"),
    Measurement(name="first_step_time", value=0.05, unit="s"),
    Measurement(name="step_time", value=0.001, unit="s", samples=(0.001,) * 27),
    Measurement(name="throughput", value=16_000.0, unit="token/s"),
    Measurement(name="held_out_loss", value=2.5, unit=""),
    Measurement(name="peak_memory.build", value=1.0 * 2**20, unit="B"),
    Measurement(name="peak_memory.train", value=8.0 * 2**20, unit="B"),
    Measurement(name="peak_memory.evaluate", value=2.0 * 2**20, unit="B"),
    Measurement(name="cpu_use", value=0.95, unit=""),
    Measurement(name="cpu_use.per_thread", value=0.95, unit="%", samples=(0.95,)),
    Measurement(name="memory.weights", value=4.0 * PARAMETERS, unit="B"),
    Measurement(name="memory.shared_gradient", value=4.0 * 27 * 32, unit="B"),
)
REPEAT = {"weights_equal": True}


def recorded(trace: Trace, held_out_loss: float = 2.5) -> dict[str, Any]:
    """What a baseline of this very training holds."""
    seeds = convergence(trace)["losses"]
    return {
        "reason": "",
        "message": "",
        "rebase": "harness rebase healthy --backend torch_eager --because ...",
        "commit": "c0ffee",
        "bitwise": True,
        "losses": trace.loss.tolist(),
        "metrics": {"held_out_loss": held_out_loss},
        "weight_norms": dict(zip(trace.tensors, trace.weight_norm[-1].tolist(), strict=True))
        if trace.steps
        else {},
        "digest": trace.digests[-1] if trace.digests else "",
        "convergence": {
            "to": REACHED,
            "steps": {seed: steps_to(each, REACHED) for seed, each in seeds.items()},
        },
    }


def convergence(trace: Trace) -> dict[str, Any]:
    """Losses from eight seeds: those of the trace, each a little higher than the one before."""
    return {"losses": {str(seed): (trace.loss * (1 + seed / 100)).tolist() for seed in range(8)}}


def _reference(trace: Trace) -> dict[str, Any]:
    close = dict.fromkeys(trace.tensors, 1e-7)
    return {
        "loss_difference": [1e-8] * trace.steps,
        "gradients_default": close,
        "gradients_scaled": close,
        "scale": 16.0,
        "reference_moved": True,
    }


def _constant(steps: int, tensors: tuple[str, ...], value: float) -> Float64:
    return np.full((steps, len(tensors)), value)

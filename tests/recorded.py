"""Runs to record, and equality of recorded values: arrays bit for bit, NaN equal to NaN."""

from dataclasses import fields, is_dataclass, replace

import numpy as np

from harness.model import (
    Anchors,
    Answer,
    Diagnosis,
    Facts,
    Measurement,
    Outcome,
    ProblemFacts,
    Run,
    Status,
    Trace,
    Verdict,
)

TENSORS = ("embedding", "block.0.attention")
TABLES = ("loss", "learning_rate", "memory")
QUIET_NAN = np.array([0x7FF800000000BEEF], np.uint64).view(np.float64)[0]
"""A NaN with a payload, which only a bitwise copy keeps."""


def make_trace(loss=(3.5, 3.0, 2.5, 2.0), tensors=TENSORS):
    steps = len(loss)
    rng = np.random.default_rng(0)
    columns = {
        field.name: rng.standard_normal((steps, len(tensors)))
        for field in fields(Trace)
        if field.name.startswith(("gradient", "clipped", "weight", "update"))
    }
    return Trace(
        tensors=tensors,
        loss=np.array(loss, np.float64),
        learning_rate=np.full(steps, 0.1),
        memory=np.arange(steps) * 4096.0,
        events={"backward": np.ones(steps), "update": np.ones(steps)},
        digests=tuple(f"{step:08x}" for step in range(steps)),
        **columns,
    )


PROBLEM = ProblemFacts(
    digest="p0",
    vocabulary=27,
    parameters=12416,
    shapes={"embedding": (27, 32), "block.0.attention": (96, 32)},
    anchors=Anchors(uniform=float(np.log(27)), unigram=2.8),
    tokens_per_step=16.0,
    samples_per_step=2,
    steps=4,
)
FINGERPRINT = {
    "commit": "c0ffee",
    "dirty": False,
    "cpu": "EPYC",
    "cores": 2,
    "torch": "2.13.0+cpu",
    "canary": 1e-4,
}
WORKER = {"device": "cpu", "threads": 1, "dtype": "float32"}


def make_facts(**changes):
    step_time = Measurement(name="step_time", value=0.036, unit="s", samples=(0.035, 0.036, float("inf")))
    build = Measurement(name="peak_memory.build", value=1024.0, unit="B")
    train = Measurement(name="peak_memory.train", value=4096.0, unit="B")
    facts = Facts(
        outcome=Outcome.COMPLETED,
        phase="done",
        problem=PROBLEM,
        parameters=12416,
        trace=make_trace(),
        measurements={found.name: found for found in (step_time, build, train)},
        answers={
            "repeat": Answer(facts={"first_different_step": None, "gap": float("nan")}, seconds=0.5),
            "causal": Answer(skipped="no logits"),
        },
        environment=WORKER,
    )
    return replace(facts, **changes)


VERDICTS = (
    Verdict(check="finite", status=Status.PASS, message="all numbers are finite"),
    Verdict(
        check="gradients",
        status=Status.FAIL,
        observed=float("nan"),
        expected="0.0001 to 10",
        unit="s",
        step=3,
        tensor="embedding",
        reason="nonfinite",
    ),
    Verdict(check="backend", status=Status.SKIP, observed="cuda", reason="not_applicable"),
)
DIAGNOSES = (
    Diagnosis(
        name="no_step",
        cause="the optimizer never steps",
        remedy="call step()",
        weight=0.9,
        evidence=("a", "b"),
    ),
    Diagnosis(
        name="frozen", cause="a tensor is frozen", remedy="thaw it", weight=0.1, step=2, tensor="embedding"
    ),
)


def make_run(run_id="r1", **changes):
    run = Run(
        id=run_id,
        session="s1",
        case="cllm-minimal",
        backend="torch_eager",
        revision=1,
        case_digest="d0",
        started=1000.0,
        seconds=1.5,
        status=Status.FAIL,
        reason="nonfinite",
        message="gradients: nan",
        facts=make_facts(),
        environment=FINGERPRINT,
        verdicts=VERDICTS,
        diagnoses=DIAGNOSES,
    )
    return replace(run, **changes)


def same(one, other):
    """Equal in type and value; arrays and samples bit for bit, any other NaN equal to any NaN."""
    if isinstance(one, Measurement):
        one, other = (replace(value, samples=np.array(value.samples)) for value in (one, other))
    if is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)
        )
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))  # noqa: PLR0124

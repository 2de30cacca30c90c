"""A made-up history for the pages: every state a run can be in, in the shape of the store."""

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np

from harness.history import RunRow, Tally, losses
from harness.ledger import Entry
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

START = 1748908800.0
"""Tuesday 3 June 2025, 00:00 UTC."""
DAY = 86400.0
NAMES = ("embedding", "layers.0.attention.query", "layers.0.feed_forward.up.weight", "head $x_1$")
DEEP = tuple(f"layers.{layer}.{part}.weight" for layer in range(34) for part in "abcdefgh")
ODD = '<script>alert("x")</script>/../é'
MATRIX = "gpt[batch=2]"
STUCK = "0 % over 12 steps, expected >= 3 %; loss stands at 3.295837 = ln 27"
CAUSE = "0 of 4 tensors changed while gradients flow (norm 0.31). Does optimizer.step() run?"
ENVIRONMENT = {
    "commit": "3fbd4bf0c1d2e3f4",
    "dirty": False,
    "cpu": "EPYC",
    "cores": 2,
    "memory": 2**33,
    "torch": "2.13",
}


def trace(names=NAMES, loss=None, gradient=None, ratio=None, steps=12):
    loss = np.linspace(3.3, 2.5, steps) if loss is None else np.asarray(loss, float)
    shape = (len(loss), len(names))
    gradient = np.geomspace(1e-3, 1, np.prod(shape)).reshape(shape) if gradient is None else gradient
    one = np.ones(shape)
    return Trace(
        tensors=names,
        loss=loss,
        learning_rate=np.full(len(loss), 0.01),
        memory=np.full(len(loss), 5e7),
        gradient_norm=gradient,
        clipped_norm=gradient,
        gradient_largest=gradient,
        gradient_nonzero=one,
        weight_norm=one,
        weight_mean=one,
        update_norm=one,
        update_ratio=one if ratio is None else ratio,
        update_error=0 * one,
        events={"update": np.ones(len(loss))},
    )


def problem(vocabulary=27, **anchors):
    known = {"uniform": float(np.log(vocabulary)), "unigram": 2.87, **anchors}
    return ProblemFacts(
        digest="p0",
        vocabulary=vocabulary,
        parameters=12416,
        shapes={},
        anchors=Anchors(**known),
        tokens_per_step=16.0,
        samples_per_step=2,
        steps=12,
    )


def measurements(step=0.0012):
    samples = tuple(step * (1 + 0.01 * (index % 5)) for index in range(20))
    found = [Measurement(name="step_time", value=step, unit="s", samples=samples)]
    found += [Measurement(name="startup_time", value=0.021, unit="s")]
    for phase, peak in (("build", 2.0e6), ("train", 9.0e6), ("evaluate", 6.0e6)):
        found.append(Measurement(name=f"peak_memory.{phase}", value=peak, unit="B"))
    return {each.name: each for each in found}


def completed(made, **changes):
    known = {"problem": problem(), "measurements": measurements(), "phase": "done"}
    known |= {"answers": {"causality": Answer(facts={"largest_change": 0.0}, seconds=0.02)}}
    return Facts(outcome=Outcome.COMPLETED, trace=made, **{**known, **changes})


PASSED = (
    Verdict(check="finite", status=Status.PASS, message="all numbers of 12 steps are finite"),
    Verdict(check="initial_loss", status=Status.PASS, observed=3.3, expected="3.131 to 3.461", message="3.3"),
    Verdict(
        check="final_loss",
        status=Status.PASS,
        observed=2.5,
        expected="<= 2.7",
        message="2.5, expected <= 2.7",
    ),
)
FAILED = (
    PASSED[0],
    Verdict(check="loss_drop", status=Status.FAIL, observed=0.0, expected=">= 3 %", unit="%", message=STUCK),
    Verdict(
        check="updates",
        status=Status.FAIL,
        observed=0.0,
        expected="1",
        step=0,
        tensor="embedding",
        message="0",
    ),
)
DIAGNOSIS = Diagnosis(
    name="optimizer_never_updates",
    cause=CAUSE,
    remedy="Call optimizer.step() after backward.",
    weight=0.97,
    step=0,
    tensor="embedding",
    evidence=("update norm 0 at 12 of 12 steps",),
)


def a_run(number=0, case="cllm-minimal", backend="torch_eager", night=0, **changes):
    known = {
        "id": f"{night:03d}x{number:04d}",
        "session": f"night-{night}",
        "revision": 1,
        "case_digest": "c0ffee",
        "started": START + night * DAY + number,
        "seconds": 1.5,
        "status": Status.PASS,
        "reason": "",
        "message": "",
        "facts": completed(trace()),
        "environment": ENVIRONMENT,
        "verdicts": PASSED,
    }
    return Run(case=case, backend=backend, **{**known, **changes})


def stuck(number=0, **changes):
    facts = completed(trace(loss=np.full(12, 3.295837), ratio=np.zeros((12, 4))))
    judged = {"status": Status.FAIL, "reason": "out_of_bounds", "message": f"loss_drop: {STUCK}"}
    known = {"facts": facts, "verdicts": FAILED, "diagnoses": (DIAGNOSIS,), "case": "gpt-copy", **judged}
    return a_run(number, **{**known, **changes})


def exploded(number=0, **changes):
    loss = [1.1, 1.0, 2.5, np.nan, np.inf, np.nan]
    gradient = np.full((6, 4), 0.3)
    gradient[3:], gradient[:, 2] = np.nan, 0.0
    message = "loss is nan at step 3, expected finite numbers"
    verdict = Verdict(check="finite", status=Status.FAIL, observed=float("nan"), step=3, message=message)
    known = {
        "case": "mlp-regressor",
        "status": Status.FAIL,
        "reason": "nonfinite",
        "message": f"finite: {message}",
        "facts": completed(trace(loss=loss, gradient=gradient), problem=problem(uniform=None, unigram=None)),
        "verdicts": (verdict,),
    }
    return a_run(number, **{**known, **changes})


def timed_out(number=0, **changes):
    message = "stopped after 60 s in phase train"
    known = {
        "case": "mlp-classifier",
        "status": Status.ERROR,
        "reason": "timeout",
        "message": message,
        "facts": Facts(
            outcome=Outcome.TIMEOUT, phase="train", message=message, detail="Traceback <b>here</b>"
        ),
        "verdicts": (),
    }
    return a_run(number, **{**known, **changes})


def unavailable(number=0, **changes):
    message = "no C compiler: install gcc"
    known = {
        "backend": "native_c",
        "status": Status.SKIP,
        "reason": "unavailable",
        "message": message,
        "facts": Facts(outcome=Outcome.UNAVAILABLE, message=message),
        "verdicts": (),
    }
    return a_run(number, **{**known, **changes})


def deep(number=0, **changes):
    made = trace(names=DEEP, loss=[10.81, 10.74, 10.66, 10.58, 10.5])
    facts = completed(made, problem=problem(49152, unigram=None))
    return a_run(number, **{"case": "smollm-135m", "facts": facts, "verdicts": PASSED[:1], **changes})


def one_step(number=0, **changes):
    facts = completed(trace(names=("w",), loss=[3.29]), measurements={}, answers={})
    return a_run(number, **{"case": ODD, "facts": facts, **changes})


def a_night(night=0):
    made = (a_run, stuck, exploded, timed_out, unavailable, deep, one_step)
    runs = [make(number, night=night) for number, make in enumerate(made)]
    for backend in ("torch_eager", "numpy_float64"):
        runs.append(a_run(len(runs), case=MATRIX, backend=backend, night=night))
    return runs


REBASES = (
    Entry(
        when="2025-06-03T12:00:00+00:00", commit="3fbd4bf0c1d2e3f4", case="cllm-minimal", backend="torch_eager",
        revision=1, largest_change=0.002, because="The <em> initialization is the paper's.",
    ),
)  # fmt: skip


class History:
    """Has the methods of the store that the report needs; counts how often a whole run is read."""

    def __init__(self, runs, sessions=()):
        self.whole = list(runs)
        self.known = list(sessions)
        self.reads = 0

    def recent(self, limit):
        firsts = {}
        for run in self.light():
            firsts[run.session] = min(firsts.get(run.session, run.started), run.started)
        plan = [[run.case, run.backend, ""] for run in self.light()]
        made = [
            SimpleNamespace(id=name, started=first, finished=1.0, plan=plan) for name, first in firsts.items()
        ]
        return sorted(self.known or made, key=lambda one: one.started, reverse=True)[:limit]

    def light(self):
        return sorted((_light(run) for run in self.whole), key=lambda run: (run.started, run.id))

    def runs(self, *, session):
        return [run for run in self.light() if run.session in session]

    def tallies(self):
        cells = {}
        for run in self.light():
            cells.setdefault((run.case, run.backend), []).append(run)
        return [
            Tally(
                case=case, backend=backend, runs=len(runs), newest=runs[-1].id, started=runs[-1].started,
                status=runs[-1].status,
            )
            for (case, backend), runs in sorted(cells.items())
        ]  # fmt: skip

    def newest(self, limit):
        return [(run.case, run.id) for run in self.light()[::-1][:limit]]

    def history(self, case):
        return [run for run in self.light() if run.case == case]

    def matrix(self):
        return None

    def run(self, run_id):
        self.reads += 1
        return next(run for run in self.whole if run.id == run_id)


def _light(run):
    found = losses(run.facts.trace)
    bare = {name: replace(each, samples=()) for name, each in run.facts.measurements.items()}
    values = {field.name: getattr(run, field.name) for field in fields(Run)}
    values["facts"] = replace(run.facts, trace=None, measurements=bare)
    known = (
        {}
        if found is None
        else {"first_loss": found.first, "final_loss": found.final, "loss_drop": found.drop}
    )
    return RunRow(**values, **known)

"""From a log to facts: what a program said of its steps, laid out as a trace."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.logs import Log, Steps, UnreadableError, by_step, number_of
from harness.model import (
    TENSOR_COLUMNS,
    Answer,
    Facts,
    Float64,
    Measurement,
    Outcome,
    ProblemFacts,
    Trace,
)

WHOLE = "(all)"
"""The tensor that stands for the model where a program tells the norm of all gradients only."""


def facts_of_log(
    log: Log, problem: ProblemFacts, *, seconds: float, peak: int, used: Sequence[Measurement] = ()
) -> Facts:
    """The facts of a program that ended well.

    seconds: of all of it; peak: bytes, 0 where unknown; used: what else was measured of it from outside.
    """
    steps = by_step(log.entries, problem.steps)
    said = {name: value for entry in log.entries for name, value in entry.said.items()}
    unreadable = [list(each) for each in log.unreadable]
    parameters = _told(said, "parameters", unreadable)
    return Facts(
        outcome=Outcome.COMPLETED,
        phase="done",
        problem=replace(problem, parameters=int(parameters) if math.isfinite(parameters) else 0),
        parameters=int(parameters) if math.isfinite(parameters) else None,
        trace=trace_of_steps(steps),
        measurements={
            each.name: each for each in (*_measurements(steps, said, unreadable, seconds, peak), *used)
        },
        answers=_answers(log, steps, said, unreadable),
        environment={"device": "unknown", "threads": 0},
    )


def trace_of_steps(steps: Steps) -> Trace:
    """One row for each step that has a loss; what nobody told is NaN, and named in `absent`."""
    rows = list(steps.by_step.values())
    tensors = tuple(dict.fromkeys(name for step in steps.by_step for name in steps.tensors.get(step, {})))
    whole = not tensors and any("grad_norm" in row for row in rows)
    names = (WHOLE,) if whole else tensors
    columns = {name: _column(steps, name, names) for name in TENSOR_COLUMNS}
    if whole:
        norms = np.array([[row.get("grad_norm", math.nan)] for row in rows])
        columns |= {"gradient_norm": norms, "clipped_norm": norms}
    by_row = {
        "learning_rate": _row_values(rows, "learning_rate"),
        "memory": np.full(len(rows), math.nan),
    }
    told = {name for step in steps.tensors.values() for values in step.values() for name in values}
    told |= {"gradient_norm", "clipped_norm"} if whole else set()
    told |= {"learning_rate"} if any("learning_rate" in row for row in rows) else set()
    absent = tuple(name for name in (*columns, *by_row) if name not in told)
    return Trace(
        tensors=names,
        loss=_row_values(rows, "loss"),
        events={},
        absent=absent,
        **columns,  # type: ignore[arg-type]
        **by_row,  # type: ignore[arg-type]
    )


def _column(steps: Steps, name: str, tensors: Sequence[str]) -> Float64:
    found = [
        [steps.tensors.get(step, {}).get(tensor, {}).get(name, math.nan) for tensor in tensors]
        for step in steps.by_step
    ]
    return np.array(found, np.float64).reshape(len(steps.by_step), len(tensors))


def _row_values(rows: Sequence[Mapping[str, float]], name: str) -> Float64:
    return np.array([row.get(name, math.nan) for row in rows], np.float64)


def _measurements(
    steps: Steps, said: Mapping[str, Any], unreadable: list[list[Any]], seconds: float, peak: int
) -> list[Measurement]:
    times = tuple(row["step_time"] for row in steps.by_step.values() if "step_time" in row)
    count = max(1, len(steps.by_step))
    # What the program does not tell is taken from the whole: its start then counts as part of the steps.
    middle = float(np.median(times)) if times else seconds / count
    found = [
        Measurement(name="program_time", value=seconds, unit="s"),
        Measurement(name="step_time", value=middle, unit="s", samples=times),
    ]
    if peak:
        found.append(Measurement(name="peak_memory.program", value=float(peak), unit="B"))
    if "held_out_loss" in said:
        held_out = _told(said, "held_out_loss", unreadable)
        found.append(Measurement(name="held_out_loss", value=held_out, unit=""))
    return found


def _answers(
    log: Log, steps: Steps, said: Mapping[str, Any], unreadable: list[list[Any]]
) -> Mapping[str, Answer]:
    answers = {
        "log": Answer(
            facts={
                "lines": log.lines,
                "missing": list(steps.missing),
                "repeated": list(steps.repeated),
                "unreadable": unreadable,
                "not_ok": [list(each) for each in log.not_ok],
            }
        )
    }
    if isinstance(said.get("checkpoint"), str):
        path = Path(said["checkpoint"])
        if path.is_file():
            answers["checkpoint"] = Answer(facts={"bytes": path.stat().st_size})
    return answers


def _told(said: Mapping[str, Any], name: str, unreadable: list[list[Any]]) -> float:
    if name not in said:
        return math.nan
    try:
        return number_of(name, said[name])
    except UnreadableError as error:
        unreadable.append([0, str(error)])
        return math.nan

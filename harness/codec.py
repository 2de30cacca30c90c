"""Values of the model as bytes and JSON: traces, the facts that a worker hands over, the `--json` shape.

No pickle. Float64 arrays keep every bit, NaN payloads included; text may hold anything.
"""

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from harness.model import (
    Anchors,
    Answer,
    Array,
    BrokenError,
    Diagnosis,
    Facts,
    Measurement,
    Outcome,
    ProblemFacts,
    Run,
    Trace,
    Verdict,
)
from harness.plain import dumps, strict

TRACE_MAGIC = b"HTRACE1\n"
FACTS_MAGIC = b"HFACTS1\n"
LENGTH_BYTES = 8
SCHEMA = 1
"""Of the `--json` shape (design.md, section 8)."""

SAME = (
    "id",
    "session",
    "case",
    "backend",
    "revision",
    "case_digest",
    "started",
    "seconds",
    "reason",
    "message",
)
"""What every record of a run holds as the run does."""


def pack_trace(trace: Trace) -> bytes:
    """A trace as compact bytes: a JSON header, then all arrays as float64, equal bytes side by side.

    Neighbouring values share their high bytes, and numbers computed in float32 end in zero bytes: laid side
    by side (as HDF5's shuffle filter does) they compress to about half.
    """
    arrays = {field.name: getattr(trace, field.name) for field in fields(Trace)} | {
        f"events.{name}": values for name, values in trace.events.items()
    }
    arrays = {
        name: np.asarray(value, "<f8") for name, value in arrays.items() if isinstance(value, np.ndarray)
    }
    header = {
        "tensors": list(trace.tensors),
        "digests": list(trace.digests),
        "absent": list(trace.absent),
        "arrays": [[name, list(array.shape)] for name, array in arrays.items()],
    }
    flat = np.concatenate([array.ravel() for array in arrays.values()])
    shuffled = flat.view(np.uint8).reshape(-1, 8).T.tobytes()
    return TRACE_MAGIC + zlib.compress(_framed(header) + shuffled, level=1)


def unpack_trace(data: bytes) -> Trace:
    """The trace that `pack_trace` packed.

    Raises:
        BrokenError: the bytes are not a whole trace.
    """
    try:
        return _unpack_trace(data)
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise BrokenError(
            f"trace: {len(data)} bytes cannot be read ({error}); the record is damaged"
        ) from error


def _unpack_trace(data: bytes) -> Trace:
    header, shuffled = _unframed(zlib.decompress(_without(TRACE_MAGIC, data)))
    flat = (
        np.frombuffer(shuffled, np.uint8)
        .reshape(8, -1)
        .T.copy()
        .view("<f8")
        .ravel()
        .astype(np.float64, copy=False)
    )
    shapes = [tuple(shape) for _, shape in header["arrays"]]
    parts = np.split(flat, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
    arrays = {
        name: part.reshape(shape)
        for (name, _), part, shape in zip(header["arrays"], parts, shapes, strict=True)
    }
    events = {
        name.removeprefix("events."): arrays.pop(name) for name in [*arrays] if name.startswith("events.")
    }
    return Trace(
        tensors=tuple(header["tensors"]),
        digests=tuple(header["digests"]),
        absent=tuple(header["absent"]),
        events=events,
        **arrays,
    )


def write_facts(path: Path, facts: Facts) -> None:
    """Write facts so that a reader finds all or nothing: a temporary file beside `path`, then a rename.

    Raises:
        BrokenError: the file cannot be written (disk full, folder missing).
    """
    trace = b"" if facts.trace is None else pack_trace(facts.trace)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(FACTS_MAGIC + _framed(facts_to_dict(facts)) + trace)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        reason = error.strerror or error
        raise BrokenError(
            f"{path}: cannot write the facts of a run: {reason}; free space or choose a folder"
        ) from error


def read_facts(path: Path) -> Facts:
    """The facts that `write_facts` wrote.

    Raises:
        BrokenError: there is no such file, or it is damaged.
    """
    try:
        header, trace = _unframed(_without(FACTS_MAGIC, path.read_bytes()))
        return facts_from_dict(header, unpack_trace(trace) if trace else None)
    except OSError as error:
        raise BrokenError(f"{path}: cannot read the facts of a run: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenError(
            f"{path}: not the facts of a run, or damaged ({error}); run the case again"
        ) from error


def facts_to_dict(facts: Facts) -> dict[str, Any]:
    """All facts but the trace, as JSON values; sequences become lists."""
    return {
        "outcome": facts.outcome.value,
        "phase": facts.phase,
        "message": facts.message,
        "detail": facts.detail,
        "problem": None if facts.problem is None else problem_to_dict(facts.problem),
        "parameters": facts.parameters,
        "measurements": [asdict(measurement) for measurement in facts.measurements.values()],
        "answers": answers_to_dict(facts.answers),
        "environment": dict(facts.environment),
    }


def facts_from_dict(values: Mapping[str, Any], trace: Trace | None) -> Facts:
    """The inverse of `facts_to_dict`."""
    problem = values["problem"]
    measurements = [
        Measurement(**{**row, "samples": tuple(row["samples"])}) for row in values["measurements"]
    ]
    return Facts(
        outcome=Outcome(values["outcome"]),
        phase=values["phase"],
        message=values["message"],
        detail=values["detail"],
        problem=None if problem is None else problem_from_dict(problem),
        parameters=values["parameters"],
        trace=trace,
        measurements={measurement.name: measurement for measurement in measurements},
        answers=answers_from_dict(values["answers"]),
        environment=values["environment"],
    )


def problem_to_dict(problem: ProblemFacts) -> dict[str, Any]:
    """What is known of a problem, as JSON values."""
    names = [field.name for field in fields(problem)]
    return {**{name: getattr(problem, name) for name in names}, "anchors": asdict(problem.anchors)}


def problem_from_dict(values: Mapping[str, Any]) -> ProblemFacts:
    """The inverse of `problem_to_dict`; every sequence becomes a tuple."""
    shapes = {name: tuple(shape) for name, shape in values["shapes"].items()}
    rest: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    rest |= {"shapes": shapes, "anchors": Anchors(**values["anchors"])}
    return ProblemFacts(**rest)


def answers_to_dict(answers: Mapping[str, Answer]) -> dict[str, Any]:
    """What the probes found, as JSON values by probe."""
    return {
        name: {"facts": dict(answer.facts), "seconds": answer.seconds, "skipped": answer.skipped}
        for name, answer in answers.items()
    }


def answers_from_dict(values: Mapping[str, Any]) -> dict[str, Answer]:
    """The inverse of `answers_to_dict`."""
    return {name: Answer(**answer) for name, answer in values.items()}


def runs_to_json(runs: Iterable[Run]) -> dict[str, Any]:
    """The document that every command's `--json FILE` writes: `schema` and `runs`."""
    return {"schema": SCHEMA, "runs": [run_to_json(run) for run in runs]}


def run_to_json(run: Run) -> dict[str, Any]:
    """One run in the stable shape of design.md, section 8: strict JSON, non-finite numbers are strings.

    environment joins the machine's fingerprint with what the worker added (device, dtype, threads).
    """
    facts = run.facts
    shape = {
        "schema": SCHEMA,
        "id": run.id,
        "session": run.session,
        "case": run.case,
        "backend": run.backend,
        "revision": run.revision,
        "case_digest": run.case_digest,
        "problem_digest": None if facts.problem is None else facts.problem.digest,
        "started": run.started,
        "seconds": run.seconds,
        "status": run.status,
        "reason": run.reason,
        "message": run.message,
        "outcome": facts.outcome,
        "phase": facts.phase,
        "parameters": facts.parameters,
        "verdicts": [_row(verdict) for verdict in run.verdicts],
        "diagnoses": [_row(diagnosis) for diagnosis in run.diagnoses],
        "measurements": {
            name: {"value": measurement.value, "unit": measurement.unit, "samples": measurement.samples}
            for name, measurement in facts.measurements.items()
        },
        "environment": {**run.environment, **facts.environment},
    }
    return dict(strict(shape))


def pack_samples(samples: Sequence[float]) -> bytes:
    """Raw samples as little-endian float64."""
    return np.asarray(samples, "<f8").tobytes()


def unpack_samples(data: bytes) -> tuple[float, ...]:
    """The inverse of `pack_samples`."""
    values: Array = np.frombuffer(data, "<f8")
    return tuple(values.tolist())


def _row(value: Verdict | Diagnosis) -> dict[str, Any]:
    return asdict(value)


def _framed(header: Mapping[str, Any]) -> bytes:
    text = dumps(header).encode()
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def _unframed(data: bytes) -> tuple[dict[str, Any], bytes]:
    end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    return dict(json.loads(data[LENGTH_BYTES:end])), data[end:]


def _without(magic: bytes, data: bytes) -> bytes:
    if not data.startswith(magic):
        raise ValueError(f"it does not begin with {magic!r}")
    return data[len(magic) :]

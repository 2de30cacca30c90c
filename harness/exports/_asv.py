"""Runs in the words of asv: metrics of which less is better, machines, environments, versions."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.history import METRICS
from harness.model import Run


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A metric as asv knows it: `kind` and `unit` are its words, by which it formats values."""

    name: str
    kind: str
    unit: str
    read: Callable[[Run], float | None] = field(repr=False)


def _loss_ratio(run: Run) -> float | None:
    first, final = METRICS["first_loss"].read(run), METRICS["final_loss"].read(run)
    return final / first if first and first > 0 and final is not None else None


def _parity_error(run: Run) -> float | None:
    judged = [verdict.observed for verdict in run.verdicts if verdict.check == "matches_reference"]
    return max((value for value in judged if isinstance(value, float)), default=None)


MEASURES = (
    *(
        Measure(name=name, kind="time", unit="seconds", read=METRICS[name].read)
        for name in ("step_time", "first_step_time", "startup_time")
    ),
    Measure(name="peak_memory", kind="peakmemory", unit="bytes", read=METRICS["peak_memory"].read),
    Measure(name="loss_ratio", kind="track", unit="final / first", read=_loss_ratio),
    Measure(name="held_out_loss", kind="track", unit="loss", read=METRICS["held_out_loss"].read),
    Measure(name="parity_error", kind="track", unit="of the reference", read=_parity_error),
)


def machine_name(run: Run) -> str:
    """A name for the machine: CPU, cores and a part of the host's hash; two of one name stay apart."""
    known = run.environment
    cpu = re.sub(r"[^A-Za-z0-9.]+", "-", str(known.get("cpu") or known.get("architecture") or "machine"))
    words = [cpu.strip("-."), f"{known.get('cores') or 0}-cores", str(known.get("host") or "unknown")[:8]]
    return "-".join(words)


def requirements(run: Run) -> dict[str, str]:
    """Minor versions: patch releases do not part a series."""
    found = ((name, run.environment.get(name)) for name in ("torch", "numpy"))
    return {name: ".".join(str(value).split("+", 1)[0].split(".")[:2]) for name, value in found if value}


def environment_name(run: Run) -> str:
    words = [f"{name}{value}" for name, value in requirements(run).items()]
    return re.sub(r"[^\w.-]+", "-", "-".join(["history", f"py{run.environment.get('python')}", *words]))


def version_of(run: Run) -> str:
    """Another revision or another problem starts a new series."""
    problem = run.facts.problem
    return f"revision {run.revision}, problem {problem.digest if problem else 'unknown'}"

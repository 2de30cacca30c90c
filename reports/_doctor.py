"""The page of `harness doctor --html`: one file that stands by itself."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.doctor import Examination, Training
from harness.model import BrokenError, Status
from harness.units import show
from reports._files import code_digest, write
from reports._words import environment

WIDTH, HEIGHT, MARGIN = 400, 120, 4
MOST_POINTS = 400


def write_page(examination: Examination, path: Path) -> None:
    """Write the page of one examination.

    Raises:
        BrokenError: the file cannot be written.
    """
    text = (
        environment().get_template("_doctor.html").render(key=code_digest(), root="", **_content(examination))
    )
    try:
        write(path, text)
    except OSError as error:
        raise BrokenError(f"--html {path}: cannot be written: {error.strerror}; name another file") from error


def _content(examination: Examination) -> Mapping[str, Any]:
    status = {0: Status.PASS, 1: Status.FAIL}.get(examination.exit_code, Status.ERROR)
    return {
        "status": status,
        "state": {0: "healthy", 1: "sick"}.get(examination.exit_code, "not judged"),
        "name": examination.script,
        "verdict": examination.verdict,
        "facts": _pairs(examination),
        "findings": examination.findings,
        "guesses": examination.guesses,
        "trainings": [_training(each) for each in examination.trainings],
        "looked_at": examination.looked_at,
        "unasked": examination.unasked,
    }


def _pairs(examination: Examination) -> list[tuple[str, str]]:
    share = examination.observing / examination.seconds if examination.seconds else 0.0
    return [
        ("model", ", ".join(examination.models) or "none was seen"),
        ("parameters", f"{examination.parameters:,}, {examination.trainable:,} trainable"),
        ("time", f"{show(examination.seconds, 's')}, of which {show(share, '%')} for observation"),
        ("end", "completed" if examination.ending.how == "completed" else examination.told_ending),
    ]


def _training(training: Training) -> Mapping[str, Any]:
    finite = [loss for loss in training.losses if math.isfinite(loss)]
    rates = " to ".join(dict.fromkeys(show(rate, "") for rate in training.rates))
    return {
        "title": training.name,
        "about": f"{training.steps:,} steps, {training.tensors} tensors, {training.parameters:,} parameters,"
        f" learning rate {rates}",
        "points": _points(training.losses),
        "first": show(training.losses[0], ""),
        "last": show(training.losses[-1], ""),
        "low": show(min(finite, default=math.nan), ""),
        "high": show(max(finite, default=math.nan), ""),
    }


def _points(losses: Sequence[float]) -> str:
    """A polyline; steps whose loss is not finite are left out."""
    parts = np.array_split(np.asarray(losses, np.float64), min(MOST_POINTS, len(losses)))
    middles = np.array([np.median(part) for part in parts])
    known = np.flatnonzero(np.isfinite(middles))
    if len(known) < 2:
        return ""
    low, span = middles[known].min(), max(float(np.ptp(middles[known])), 1e-300)
    across = (WIDTH - 2 * MARGIN) / max(1, len(middles) - 1)
    heights = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (middles - low) / span
    return " ".join(f"{MARGIN + across * n:.1f},{heights[n]:.1f}" for n in known)

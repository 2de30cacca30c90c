"""The page of `harness doctor --html`: one file that stands by itself."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from harness.doctor import Examination, Training
from harness.model import BrokenError, Status
from harness.units import show
from reports._files import code_digest, write
from reports._words import environment
from reports.figures import _plain as plain

WIDTH, HEIGHT = 640, 240
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
        "drawing": _drawing(training.losses),
        "first": show(training.losses[0], ""),
        "last": show(training.losses[-1], ""),
        "low": show(min(finite, default=math.nan), ""),
        "high": show(max(finite, default=math.nan), ""),
    }


def _drawing(losses: Sequence[float]) -> Markup:
    """The loss by step; steps whose loss is not finite are left out. Empty with fewer than two others."""
    parts = np.array_split(np.asarray(losses, np.float64), min(MOST_POINTS, len(losses)))
    middles = np.array([np.median(part) for part in parts])
    known = np.flatnonzero(np.isfinite(middles))
    if len(known) < 2:
        return Markup("")
    low, high = float(middles[known].min()), float(middles[known].max())
    room = 0.05 * (high - low) or max(0.05 * abs(low), 1e-9)
    plot = plain.Plot(
        steps=len(losses), low=low - room, high=high + room, right=WIDTH - 14, height=HEIGHT - 52
    )
    ticks = [(value, show(value, "")) for value in dict.fromkeys((low, (low + high) / 2, high))]
    places = np.linspace(0, len(losses) - 1, len(middles))
    line = plot.line([(float(places[at]), float(middles[at])) for at in known], "--accent")
    return plain.drawing(WIDTH, HEIGHT, "Loss by step", [*plot.frame(ticks, "step"), line])

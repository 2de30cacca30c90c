"""How the logits of a loss tell classes apart: how often rightly, and by how much."""

from typing import Any, NamedTuple

import numpy as np

LEAST_CLASSES = 4
FEW = 2
"""Looks within a quarter of the calls, at least, to know of it."""


class Score(NamedTuple):
    """One call. right: share of rows whose largest logit is the target's; spread: largest less smallest."""

    call: int
    loss: float
    right: float
    spread: float


def score(site: Any, values: Any, target: Any) -> Score | None:
    """Of logits (samples, classes, ...) and targets of which negative ones do not count."""
    if values.dim() < 2 or values.shape[1] < LEAST_CLASSES or not site.values:
        return None
    rows = values.movedim(1, -1).reshape(-1, values.shape[1])
    flat = target.reshape(-1)
    counted = flat >= 0
    if len(rows) != len(flat) or not bool(counted.any()):
        return None
    rows, flat = rows[counted], flat[counted]
    right = float((rows.argmax(1) == flat).float().mean())
    return Score(site.calls, site.values[-1], right, float((rows.amax(1) - rows.amin(1)).mean()))


def told_scores(site: Any) -> dict[str, float]:
    """Means of the last quarter of the calls, and how far the spread grew since the quarter before."""
    quarters = [
        [each for each in site.scores if 4 * (each.call - 1) // max(1, site.calls) == number]
        for number in (2, 3)
    ]
    if min(len(each) for each in quarters) < FEW:
        return {}
    before, last = (np.mean(each, axis=0) for each in quarters)
    told = dict(zip(Score._fields, last.tolist(), strict=True))
    return {**told, "grew": float(last[-1] / max(before[-1], 1e-12))}

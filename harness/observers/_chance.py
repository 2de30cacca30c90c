"""The loss that takes no input, and whether a program got below it."""

import math
from typing import Any

import numpy as np

LEAST = 8
"""Fewer losses say nothing."""


def chance(site: Any) -> float:
    """The loss of whoever knows the targets' frequencies, or their mean, and no input; or NaN."""
    if site.histogram and site.kind in ("cross_entropy", "nll_loss"):
        return _of_labels(site)
    if site.kind == "mse_loss" and site.rows > 1 and site.sums is not None:
        variance = site.squares / site.rows - (site.sums / site.rows) ** 2
        return float(max(0.0, variance.mean()))
    constant = np.array(site.blind[-max(LEAST, len(site.blind) // 3) :])
    return float(constant.mean()) if len(constant) >= LEAST and np.isfinite(constant).all() else math.nan


def _of_labels(site: Any) -> float:
    """The entropy of the labels as the loss counts them: with the weights of classes, and smoothed."""
    weights, smoothed = site.weights, site.smoothed
    if weights is not None and smoothed:
        return math.nan
    classes = np.array(list(site.histogram))
    counts = np.array(list(site.histogram.values()), np.float64)
    counts *= 1.0 if weights is None else weights[classes]
    shares = (1 - smoothed) * counts / max(counts.sum(), 1e-300)
    each = smoothed / max(1, site.classes)
    shares = np.concatenate([shares + each, np.full(max(0, site.classes - len(shares)), each)])
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def below(site: Any) -> float:
    """By how many standard errors the last third of the losses lies below chance."""
    gains = np.array(site.gains[-max(LEAST, len(site.gains) // 3) :])
    if len(gains) >= LEAST and np.isfinite(gains).all():
        # Batch by batch: how hard its targets are then counts for both sides.
        return float(gains.mean()) / max(float(gains.std(ddof=1)) / math.sqrt(len(gains)), 1e-12)
    last = np.array(site.values[-max(LEAST, len(site.values) // 3) :])
    reached = chance(site)
    if len(last) < LEAST or not math.isfinite(reached) or not np.isfinite(last).all():
        return math.nan
    error = float(last.std(ddof=1)) / math.sqrt(len(last))
    return (reached - float(last.mean())) / max(error, 1e-12)


def falling(site: Any) -> float:
    """By how many standard errors the last sixth of the losses lies below the sixth before it."""
    size = len(site.values) // 6
    late, before = np.array(site.values[-size:]), np.array(site.values[-2 * size : -size])
    if size < 4 or not np.isfinite(late).all() or not np.isfinite(before).all():
        return math.nan
    error = math.sqrt(float(late.var(ddof=1) + before.var(ddof=1)) / size)
    return float(before.mean() - late.mean()) / max(error, 1e-12)

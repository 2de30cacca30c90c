"""Where the level of a series changed. Pure: values in the order of time in, change points out.

A clipped CUSUM (Page, Biometrika 1954; Huber's clipping). Values are held against the median of those before
them, in units of their spread; clipped, an outlier weighs no more than three ordinary values, whatever its
size. The score of a change is the sum over the 5 to 24 values since, over what such a sum scatters by chance;
autocorrelation raises that, and so does how little is known early on. A change is told on the first night on
which its score is high enough, from what is known then, and never taken back: the whole series at its end
gives exactly the changes that were told night by night.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.model import Float64

Counts = NDArray[np.int_]

# Set so that of 2,000 series each of white, heavy-tailed (Student, 3 degrees), outlier-ridden and
# autocorrelated noise (0.3, 0.45, 0.6), 30 to 300 values long, 0.1 % to 0.8 % raise any alarm on any night.
# The price is paid early: 10 % steps in noise of 2 to 3 % are found within five values 71 times of 100 after
# 30 values, 96 times after 60 to 200.
THRESHOLD = 4.2
FIRST = 15
"""Values before the first change that can be told: fewer do not show how much they scatter."""
SHORTEST, LONGEST = 5, 24
"""How many values since a change are looked at together."""
WINDOW = 100
"""How many values before a change are looked at: what was long ago scattered otherwise."""
CLIP = 3.25
RESOLUTION = 1e-3
"""Share of the level below which nothing is worth telling, however exact the values are."""
EARLY, EARLIER = 3.0, 6.0
"""How much higher scores must be where few values are known: terms of first and second order."""
PATIENCE = 0.25
"""Power by which longer sums need more: the longer, the worse is autocorrelation known."""
LEAST_CORRELATED, MOST_CORRELATED = 0.05, 0.8
QUARTILES, DECILES = (0.25, 1.349), (0.1, 2.563)
"""A share, and the distance of the two quantiles that it cuts off, in standard deviations of a normal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePoint:
    """One change of level.

    at: place of the first value on the new level. known: place of the value with which it was told.
    before, after: medians of the levels that meet there. score: how clear it was then; `THRESHOLD` or more.
    """

    at: int
    known: int
    before: float
    after: float
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    at: int
    known: int
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scores:
    """table (E, K): the score of a change at each of `ends` (E,), seen with 1, 2, ... K values from there."""

    ends: Counts
    table: Float64


def change_points(values: Sequence[float] | Float64) -> tuple[ChangePoint, ...]:
    """All changes of level, in the order of time. Values that are not finite are passed over."""
    every = np.asarray(values, np.float64)
    places = np.flatnonzero(np.isfinite(every))
    kept = every[places]
    found = tuple(_changes(kept))
    edges = [0, *(one.at for one in found), len(kept)]
    levels = [float(np.median(kept[low:high])) for low, high in pairwise(edges) if found]
    return tuple(
        ChangePoint(
            at=int(places[one.at]),
            known=int(places[one.known]),
            before=levels[number],
            after=levels[number + 1],
            score=one.score,
        )
        for number, one in enumerate(found)
    )


def _changes(values: Float64) -> Iterator[_Found]:
    """One change after the other. What values scattered before a change counts after it, too."""
    start, scatter = 0, np.empty(0)
    while (one := _first(_scores(values[start:], scatter))) is not None:
        since = values[start : start + one.known + 1]
        at = _parting(since, one.at)
        scatter = _carried(scatter, since[:at], float(np.median(since[at:])))
        yield _Found(at=start + at, known=start + one.known, score=one.score)
        start += at


def _parting(values: Float64, at: int) -> int:
    """Where values part best into those nearer to one level and those nearer to the other, close to `at`."""
    nearer = np.abs(values - np.median(values[at:])) - np.abs(values - np.median(values[:at]))
    # Least absolute deviations: the sum of what each value would gain by belonging to the new level.
    low, high = max(1, at - SHORTEST), min(len(values) - 1, at + SHORTEST)
    left = np.cumsum(nearer[::-1])[::-1][low : high + 1]
    return low + int(left.argmin())


def _carried(scatter: Float64, old: Float64, level: float) -> Float64:
    """Deviations from past levels, in proportion to a new level."""
    left = float(np.median(old))
    factor = level / left if left * level > 0 else 1.0
    return np.asarray(factor * np.concatenate([scatter, old - left])[-WINDOW:], np.float64)


def _first(scores: _Scores) -> _Found | None:
    """The first change that was told: on a night whose clearest change lies at least `SHORTEST` values back.

    Two outliers at the end of five values score, too, but the change that they show is two values old.
    """
    nights = scores.ends[:, None] + np.arange(LONGEST)
    last = int(nights.max(initial=0))
    by_night = np.zeros((last + 1, LONGEST))
    by_night[nights, np.arange(LONGEST)] = scores.table
    since = by_night.argmax(axis=1)
    clearest = by_night.max(axis=1)
    told = np.flatnonzero((clearest > THRESHOLD) & (since >= SHORTEST - 1))
    if not len(told):
        return None
    night = int(told[0])
    return _Found(at=night - int(since[night]), known=night, score=float(clearest[night]))


def _scores(values: Float64, scatter: Float64) -> _Scores:
    """values: since the last change. scatter: deviations of earlier values from their levels."""
    ends = np.arange(SHORTEST if len(scatter) else FIRST, len(values))
    away = _windows(values, ends)
    own = np.minimum(ends, WINDOW)
    ordered = np.sort(away[:, :WINDOW], axis=1)
    level = _quantile(ordered, own, 0.5)[:, None]
    away -= level
    ordered -= level
    if len(scatter):
        away = np.hstack([np.broadcast_to(scatter, (len(ends), len(scatter))), away])
        ordered = np.sort(away[:, :-LONGEST], axis=1)
    known = own + len(scatter)
    away /= np.maximum(_spread(ordered, known)[:, None], RESOLUTION * np.abs(level) + np.finfo(float).tiny)
    np.clip(away, -CLIP, CLIP, out=away)
    return _Scores(
        ends=ends, table=_table(away[:, :-LONGEST], away[:, -LONGEST:], known[:, None], own[:, None])
    )


def _windows(values: Float64, ends: Counts) -> Float64:
    """The values around each end, (E, WINDOW + LONGEST), in arrays of their own; NaN where there are none."""
    padded = np.concatenate([np.full(WINDOW, np.nan), values, np.full(LONGEST, np.nan)])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, WINDOW + LONGEST)[ends])


def _table(past: Float64, after: Float64, known: Counts, own: Counts) -> Float64:
    """Scores (E, K) from clipped deviations before (E, W) and after (E, K), in units of the spread.

    known, own (E, 1): how many values tell of the spread, and how many of them of the level.
    """
    past = np.where(np.isnan(past), 0.0, past)
    squares = (past**2).sum(axis=1, keepdims=True)
    rho = _autocorrelation(past, squares, known)
    size = np.arange(1.0, LONGEST + 1)
    # The variance of a sum of values of an autoregressive process of first order, and of its level.
    drag = (1 + rho) / (1 - rho)
    chance = size * drag - 2 * rho * (1 - rho**size) / (1 - rho) ** 2
    variance = np.maximum(squares / known, 1.0) * (chance + size**2 * drag / own)
    caution = 1 + EARLY * drag / known + (EARLIER * drag / known) ** 2
    longer = np.maximum(size / SHORTEST, 1.0) ** PATIENCE
    scores = np.abs(np.cumsum(after, axis=1)) / (np.sqrt(variance) * caution * longer)
    scores[np.isnan(scores)] = 0.0
    return np.asarray(scores, np.float64)


def _autocorrelation(past: Float64, squares: Float64, known: Counts) -> Float64:
    """Of neighbours, (E, 1); what few values show is too low on average (Kendall, Biometrika 1954)."""
    shown = (past[:, 1:] * past[:, :-1]).sum(axis=1, keepdims=True) / np.maximum(squares, 1e-9)
    safe = shown + (1 + 3 * shown) / known + 0.2 / np.sqrt(known)
    return np.asarray(np.clip(safe, LEAST_CORRELATED, MOST_CORRELATED), np.float64)


def _spread(ordered: Float64, sizes: Counts) -> Float64:
    """The standard deviation of a normal with these quartiles and deciles: outliers do not count."""
    widths = [
        (_quantile(ordered, sizes, 1 - share) - _quantile(ordered, sizes, share)) / width
        for share, width in (QUARTILES, DECILES)
    ]
    return np.asarray(sum(widths) / len(widths), np.float64)


def _quantile(ordered: Float64, sizes: Counts, share: float) -> Float64:
    """Of the first `sizes` (E,) values of each ordered row (E, W)."""
    place = share * (sizes - 1)
    low, rows = place.astype(int), np.arange(len(ordered))
    below, above = ordered[rows, low], ordered[rows, np.minimum(low + 1, sizes - 1)]
    return np.asarray(below + (above - below) * (place - low), np.float64)

"""How far two groups of repeats lie apart: the shift of Hodges and Lehmann, with an exact interval.

The interval inverts the test of Mann and Whitney, or for pairs that of Wilcoxon (Hollander, Wolfe and
Chicken, Nonparametric Statistical Methods, sections 4.3 and 3.3): it supposes no distribution, and a single
outlier cannot move it far.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """before, after: medians. share: the shift over the median before; low to high: its interval."""

    before: float
    after: float
    share: float
    low: float
    high: float


def effect(before: Sequence[float], after: Sequence[float], error: float) -> Effect:
    """The shift from one group to the other. error: how often the interval may miss it, 0 to 1.

    The interval is infinite while the groups are too small for that, and where a number is not finite.
    """
    old, new = np.asarray(before, np.float64), np.asarray(after, np.float64)
    middle = float(np.median(old)), float(np.median(new))
    if not (np.isfinite(old).all() and np.isfinite(new).all()):
        return Effect(before=middle[0], after=middle[1], share=math.nan, low=-math.inf, high=math.inf)
    shifts = np.sort((new[:, None] - old[None, :]).ravel())
    depth = _depth(len(old), len(new), error)
    low, high = (shifts[depth - 1], shifts[-depth]) if depth else (-math.inf, math.inf)
    share, low, high = (_over(float(each), abs(middle[0])) for each in (np.median(shifts), low, high))
    return Effect(before=middle[0], after=middle[1], share=share, low=low, high=high)


def paired(before: Sequence[float], after: Sequence[float], error: float) -> Effect:
    """The factor, less 1, between positive numbers that belong together two by two. error: as in `effect`.

    An infinite number after is one that lies above all others. The interval is infinite while there are too
    few pairs, and where a number is none.
    """
    old, new = np.asarray(before, np.float64), np.asarray(after, np.float64)
    middle = float(np.median(old)), float(np.median(new))
    if not (np.isfinite(old).all() and (old > 0).all() and (new > 0).all()):
        return Effect(before=middle[0], after=middle[1], share=math.nan, low=-math.inf, high=math.inf)
    apart = np.log(new / old)
    means = np.sort(((apart[:, None] + apart[None, :]) / 2)[np.triu_indices(len(apart))])
    depth = _paired_depth(len(apart), error)
    low, high = (means[depth - 1], means[-depth]) if depth else (-math.inf, math.inf)
    share, low, high = (float(np.expm1(each)) for each in (np.median(means), low, high))
    return Effect(before=middle[0], after=middle[1], share=share, low=low if depth else -math.inf, high=high)


def _over(shift: float, level: float) -> float:
    if level:
        return shift / level
    return math.copysign(math.inf, shift) if shift else 0.0


@cache
def _depth(first: int, second: int, error: float) -> int:
    """How many of the sorted differences lie outside the interval on either side, and one; 0: too few."""
    return _outside(_arrangements(first, second), error)


@cache
def _paired_depth(pairs: int, error: float) -> int:
    """The same of the sorted means of two differences."""
    counts = [1] + [0] * (pairs * (pairs + 1) // 2)  # in how many ways ranks add up to each sum
    for rank in range(1, pairs + 1):
        for total in range(len(counts) - 1, rank - 1, -1):
            counts[total] += counts[total - rank]
    return _outside(counts, error)


def _outside(counts: Sequence[int], error: float) -> int:
    allowed = error / 2 * sum(counts)
    depth, below = 0, 0
    while (below := below + counts[depth]) <= allowed:
        depth += 1
    return depth


def _arrangements(first: int, second: int) -> list[int]:
    """In how many orders of two groups u pairs are the wrong way round, for each u: Gauss' binomial."""
    counts = [1] + [0] * (first * second)
    for size in range(1, second + 1):
        for place in range(len(counts) - 1, first + size - 1, -1):
            counts[place] -= counts[place - first - size]
        for place in range(size, len(counts)):
            counts[place] += counts[place - size]
    return counts

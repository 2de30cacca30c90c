"""What a reshape does to axes: does it cut and join them, or read one in place of another?

A reshape keeps the order in memory. It may cut an axis and join neighbours; it cannot exchange two.
"""

from functools import lru_cache
from itertools import accumulate, pairwise
from math import prod
from operator import mul

SPLIT, JOINED, MOVED, PACKED = "split", "joined", "moved", "packed"
"""What a reshape may be mistaken for: see `exchanged`."""


@lru_cache(maxsize=4096)
def exchanged(before: tuple[int, ...], after: tuple[int, ...]) -> str:
    """How a reshape pretends to exchange axes, or '' if it may be meant as it is.

    split: heads out of features before places, (..., T, H * D) read as (..., H, T, D). joined: the way back.
    moved: another axis on the other side of its neighbours, as (T, C) read as (C, T), (H, W, C) as (C, H, W),
    (N, C) as (C, H, W). packed: the same of two axes of which one is a multiple of the other; (B, 64, 16)
    read as (B, 16, 64) may join four neighbours, if it is not for channels.
    """
    old, new = _apart([each for each in before if each != 1], [each for each in after if each != 1])
    flat = max(len(before), len(after)) < 3 or min(len(old), len(new)) < 2
    if flat or prod(old) != prod(new) or prod(old) == 0 or _cuts_or_joins(old, new):
        return ""
    turned = old[:-1] == new[1:] or old[1:] == new[:-1]
    if not turned and (_split(old, new) or _split(new, old)):
        return SPLIT if _split(old, new) else JOINED
    if not (_moved(old, new) or _moved(new, old)):
        return ""
    if _odd(old, new):
        return MOVED
    if before[0] != after[0]:
        return ""  # with samples among what is mixed, nothing is sure
    return MOVED if max(len(old), len(new)) > 2 else PACKED


def _apart(old: list[int], new: list[int]) -> tuple[list[int], list[int]]:
    """Without the axes that both begin or end with."""
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return old, new


def _cuts_or_joins(old: list[int], new: list[int]) -> bool:
    """Whether either has all borders of the other."""
    ours, theirs = set(accumulate(old, mul)), set(accumulate(new, mul))
    return ours <= theirs or theirs <= ours


def _moved(one: list[int], other: list[int]) -> bool:
    """Whether the last axis of the one comes first in the other, and what is left is the same or joined."""
    if one[-1] != other[0] or max(len(one), len(other)) > 4:
        return False
    return one[:-1] == other[1:] or len(one) == 2 or len(other) == 2


def _odd(old: list[int], new: list[int]) -> bool:
    """Whether some border of the one lies within an element of the other, so that nothing can be meant."""
    borders = sorted({*accumulate(old, mul), *accumulate(new, mul)})
    return any(late % early for early, late in pairwise(borders))


def _split(old: list[int], new: list[int]) -> bool:
    """(T, H * D) as (H, T, D), or (B, T, H * D) as (B * H, T, D)."""
    if len(old) == 2 and len(new) == 3:
        return new[1] == old[0]
    if len(old) != 3 or len(new) != 3 or new[0] % old[0] or new[1] != old[1]:
        return False
    return new[0] > old[0] and old[2] == new[0] // old[0] * new[2]

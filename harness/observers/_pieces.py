"""Short pieces of sequences: numbers that tell them apart, wherever in a sample they stand."""

from typing import Any

import numpy as np

LENGTH = 4
"""Steps of a piece."""
LEAST_STEPS = 12
MOST_TAKEN = 32
"""Pieces of a sample that are compared, more or less."""
SHOWN = 64
CONTINUOUS = 0.5
"""Of all values that many are different where they were measured, and not counted or coded."""
_ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)


def pieces_of(given: Any) -> list[tuple[Any, Any, Any]]:
    """By axis that may be time: numbers of pieces (N,), samples (N,) and places (N,); [] for other inputs."""
    if not given.is_floating_point() or not 2 <= given.dim() <= 4 or given.is_sparse:
        return []
    values = given.detach().cpu().float().contiguous().numpy()
    if not _continuous(values):
        return []
    axes = [-1] if values.ndim != 3 else [-1, 1]
    return [_along(values, axis) for axis in axes if values.shape[axis] >= LEAST_STEPS]


def _continuous(values: Any) -> bool:
    """Within a sample, not among them: windows of one record have their values in common."""
    rows = values.reshape(len(values), -1)[:SHOWN, : 4 * SHOWN]
    different = sum(len(np.unique(each)) for each in rows)
    return bool(different > CONTINUOUS * rows.size)


def _along(values: Any, axis: int) -> tuple[Any, Any, Any]:
    steps = np.moveaxis(values, axis, -1).reshape(len(values), -1, values.shape[axis])
    bits = np.ascontiguousarray(steps).view(np.uint32).astype(np.uint64)
    generator = np.random.default_rng(axis + 8)
    odd = generator.integers(1, 1 << 62, (bits.shape[1], 1), dtype=np.uint64) | np.uint64(1)
    with np.errstate(over="ignore"):
        one = _mixed((bits * odd).sum(1, dtype=np.uint64))
        width = one.shape[1] - LENGTH + 1
        parts = [one[:, at : at + width] * np.uint64(_ODD[at]) for at in range(LENGTH)]
        number = _mixed(np.sum(parts, axis=0, dtype=np.uint64))
    moves = one[:, 1:] != one[:, :-1]
    usable = np.logical_and.reduce([moves[:, at : at + width] for at in range(LENGTH - 1)])
    # The same pieces are taken wherever they are met: by what is in them, not by where they stand.
    usable &= number % np.uint64(max(1, width // MOST_TAKEN)) == 0
    sample, place = np.nonzero(usable)
    return number[usable], sample, place


def _mixed(value: Any) -> Any:
    value = value ^ (value >> np.uint64(29))
    value = value * np.uint64(_ODD[3])
    return value ^ (value >> np.uint64(32))

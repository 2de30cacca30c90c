"""Which positions does a token reach: later ones as it must, or earlier ones too?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.model import Array, Float64
from harness.probes import Context, Probe
from harness.probes._fresh import fresh, load_drawn, other, positions, relative, steady

CUTS = 8
"""Positions whose token is changed, at most: the first, the last, and some between."""
LEAK = 1e-4
"""Standard deviations of the logits; what moves less is rounding."""


class Influence(Probe):
    """Changes the token of one position in all samples, and looks where the logits move.

    A causal mask that is missing, inverted or off by one lets the future through; attention that mixes
    nothing lets the past through nowhere. Asked at drawn weights whose logits are of order one.
    """

    def ask(self, context: Context) -> Mapping[str, Any]:
        """Largest changes in standard deviations of the logits.

        future, past, own: at an earlier, a later, the same position. first_leak: which position was changed,
        the first earlier one whose logits moved, and by how much; null where none did. scale: the gain of the
        drawn weights.
        """
        batch = context.problem.batches[0]
        length = positions(batch)
        changed = other(context.problem, batch.inputs)
        with fresh(context) as trainer:
            scale = load_drawn(context.problem, trainer, batch.inputs)
            ask = steady(trainer, batch.inputs)
            before = ask(batch.inputs)
            moved = {cut: _moved(before, ask(_replaced(batch.inputs, changed, cut))) for cut in _cuts(length)}
        return {
            "future": _largest([values[:cut] for cut, values in moved.items()]),
            "past": _largest([values[cut + 1 :] for cut, values in moved.items()]),
            "own": _largest([values[cut : cut + 1] for cut, values in moved.items()]),
            "first_leak": _first_leak(moved),
            "scale": scale,
        }


def _cuts(length: int) -> list[int]:
    return sorted({round(cut) for cut in np.linspace(0, length - 1, min(length, CUTS))})


def _replaced(inputs: Array, changed: Array, cut: int) -> Array:
    inputs = inputs.copy()
    inputs[:, cut] = changed[:, cut]
    return inputs


def _moved(before: Float64, after: Float64) -> list[float]:
    """(L,) largest change of any logit at each position, in standard deviations of all logits."""
    deviation = float(np.std(before))
    return [relative(change, deviation) for change in np.abs(after - before).max(axis=(0, 2))]


def _largest(parts: list[list[float]]) -> float:
    # NumPy's maximum keeps NaN, which Python's may lose.
    return float(np.max([value for part in parts for value in part]))


def _first_leak(moved: Mapping[int, list[float]]) -> dict[str, Any] | None:
    for cut, values in moved.items():
        for position, change in enumerate(values[:cut]):
            if change > LEAK:
                return {"changed": cut, "position": position, "change": change}
    return None

"""How hard does weight decay pull, beside the gradients of the loss?"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.observers import Observer

FIRST = 0.25
"""Of the updates: once a loss is fitted, its gradients are as small as the decay that they stand against."""
DECOUPLED = ("AdamW", "Adafactor", "Muon")


class Decays(Observer):
    """Reads what decays at the first update, and the norms of weights, gradients and updates at the end."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.decays: dict[int, dict[int, float]] = {}

    def stepping(self, hub: Any, optimizer: Any, late: bool) -> None:
        """By tensor its weight decay, as the first update finds it."""
        del hub, late
        if id(optimizer) not in self.decays:
            self.decays[id(optimizer)] = {
                id(each): float(group.get("weight_decay") or 0.0)
                for group in optimizer.param_groups
                for each in group["params"]
                if each.dim() > 1  # a vector may be anything
            }

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By training: the decay's pull over the loss's, for the matrix in the middle of all."""
        return {
            "trainings": [
                _pull(training, hub.optimizers.get(number), self.decays.get(number, {}))
                for number, training in hub.trainings.items()
            ]
        }


def _pull(training: Any, optimizer: Any, known: Mapping[int, float]) -> dict[str, Any]:
    """Empty where nothing decays."""
    rows = training.rows[: math.ceil(FIRST * len(training.rows))]
    decays = np.array([known.get(id(each), 0.0) for each in training.parameters])
    if optimizer is None or not rows or not decays.any():
        return {}
    apart = _decoupled(optimizer)
    weights = np.array([row.columns["weight_norm"] for row in rows])
    moved = np.array([row.columns["update_norm" if apart else "clipped_norm"] for row in rows])
    rates = np.array([[row.rate if apart else 1.0] for row in rows])
    with np.errstate(all="ignore"):
        # Of an update that decay is a part of, the rest is the loss's.
        share = np.where(moved > 0, decays * weights * rates / moved, np.nan)[:, decays > 0]
    shares = share[np.isfinite(share)]
    last = training.rows[-1].columns["weight_norm"][decays > 0]
    return {
        "pull": float(np.median(shares)) if shares.size else 0.0,
        "decay": float(decays.max()),
        "apart": apart,
        "left": float(np.median(last / np.maximum(weights[0, decays > 0], 1e-30))),
        "kind": type(optimizer).__name__,
    }


def _decoupled(optimizer: Any) -> bool:
    own = any(group.get("decoupled_weight_decay") for group in optimizer.param_groups)
    return own or type(optimizer).__name__ in DECOUPLED

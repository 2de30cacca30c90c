"""Which parameters does the optimizer hold, which of them move, and do any two share their memory?"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from harness.model import Array, Trace
from harness.probes import Context, Probe
from harness.probes._story import opened
from harness.trainer import Trainer

NEGLIGIBLE = 1e-6
"""A gradient that stays below this share of the largest one is zero in theory and rounding in practice."""
BASE = 256
"""Whole numbers below this are exact in every floating dtype, bfloat16 included."""


class Coverage(Probe):
    """Reads the recorded updates, and fills each parameter with its number, to see who else it reaches."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """Names of tensors.

        optimized: those that the optimizer holds; missing: the others. moved: those with an update at any
        step; unmoved: the others. negligible: those whose gradient stayed below `NEGLIGIBLE` of the largest
        one at every step, without being exactly zero, as that of the bias of attention keys: they need not
        move. aliased: pairs that share memory.
        """
        with opened(context.build()) as trainer:
            held = set(trainer.optimized())
            names = tuple(trainer.names)
            aliased = _aliased(trainer)
        moved = _where(context.trace, np.any(context.trace.update_norm > 0, axis=0))
        return {
            "optimized": [name for name in names if name in held],
            "missing": [name for name in names if name not in held],
            "moved": moved,
            "unmoved": [name for name in names if name not in moved],
            "negligible": _negligible(context.trace),
            "aliased": aliased,
        }


def _where(trace: Trace, chosen: Iterable[Any]) -> list[str]:
    return [name for name, true in zip(trace.tensors, chosen, strict=True) if true]


def _negligible(trace: Trace) -> list[str]:
    norms = trace.gradient_norm
    largest = norms.max(axis=1, keepdims=True, initial=0.0)
    return _where(trace, (norms <= NEGLIGIBLE * largest).all(axis=0) & (norms > 0).any(axis=0))


def _aliased(trainer: Trainer) -> list[list[str]]:
    """Pairs of tensors that share memory: every tensor is filled with its number, in two digits.

    What a tensor holds afterwards is the number of the last one written to its memory. This asks the trainer
    itself, so that it also sees what copies at the border hide, at the cost of two writes of the whole model.
    """
    names = tuple(trainer.names)
    low, high = (_read_back(trainer, digits) for digits in _digits(len(names)))
    pairs: list[list[str]] = []
    for number, name in enumerate(names):
        held = np.unique(low[name] + BASE * high[name])
        pairs += [
            [name, names[int(owner)]] for owner in held if owner > number and owner in range(len(names))
        ]
    return pairs


def _digits(number: int) -> tuple[list[int], list[int]]:
    return [index % BASE for index in range(number)], [index // BASE for index in range(number)]


def _read_back(trainer: Trainer, values: list[int]) -> dict[str, Array]:
    """The smallest and the largest value of each tensor after all were filled."""
    shapes = {name: held.shape for name, held in trainer.parameters().items()}
    for name, value in zip(trainer.names, values, strict=True):
        trainer.load({name: np.full(shapes[name], value, np.float32)})
    return {
        name: np.array([held.min(), held.max()], np.float64) for name, held in trainer.parameters().items()
    }

"""Which input is each target: the next token as it should be, the same one, the one after?"""

from collections.abc import Mapping
from math import isnan, nan
from typing import Any

import numpy as np

from harness.model import IGNORE, Array, Batch, Float64
from harness.probes import Context, Probe
from harness.probes._fresh import alone, calm, fresh, logits, positions
from harness.problem import Problem
from harness.trainer import Trainer

SHIFTS = (-2, -1, 0, 1, 2, 3)
MOVES = (0, 1, -1, 2, -2, 3)
"""Shifts that a loss may add on its own, the right one first."""
AGREES = 1e-5
"""Relative distance of a loss from the cross entropy of the trainer's logits that is rounding in float32."""


class Alignment(Probe):
    """Compares targets with shifted inputs, and the loss with the cross entropy at shifted targets.

    Labels that are not shifted, or shifted twice, in the data or once more within the loss, teach the wrong
    thing, and the first looks like a splendid training.
    """

    def ask(self, context: Context) -> Mapping[str, Any]:
        """Shares and shifts; positions behind a sample's end are left out.

        agreement: by shift, the share of counted targets equal to the input that many positions later; NaN
        where no pair exists. best: the shift with the largest share. loss_shift: what the training's own loss
        adds to it; null where that loss is the cross entropy of its logits at no shift.
        """
        problem = context.problem
        positions(problem.batches[0])
        agreement = {str(shift): _agreement(problem, shift) for shift in SHIFTS}
        known = {shift: share for shift, share in agreement.items() if not isnan(share)}
        with fresh(context) as trainer:
            loss_shift = _loss_shift(trainer, problem.batches[0], problem.config.micro_batches)
        best = int(max(known, key=lambda shift: known[shift])) if known else None
        return {"agreement": agreement, "best": best, "loss_shift": loss_shift}


def _agreement(problem: Problem, shift: int) -> float:
    pairs = equal = 0
    for batch in (*problem.batches, problem.held_out):
        where, source = _pairs(batch, shift)
        pairs += int(where.sum())
        equal += int((where & (batch.targets == source)).sum())
    return equal / pairs if pairs else nan


def _pairs(batch: Batch, shift: int) -> tuple[Array, Array]:
    """(B, L) which counted targets have an input `shift` positions later in their sample; those inputs."""
    places = np.arange(batch.inputs.shape[1]) + shift
    within = (places >= 0) & (places < batch.lengths[:, None])
    return (batch.targets != IGNORE) & within, np.roll(batch.inputs, -shift, axis=1)


def _loss_shift(trainer: Trainer, batch: Batch, micro_batches: int) -> int | None:
    """Of the sample with the most counted targets, alone: no mean over micro-batches is in its loss."""
    sample = int((batch.targets != IGNORE).sum(axis=1).argmax())
    single = alone(trainer, batch, sample, micro_batches)
    try:
        calm(trainer, single.inputs)
    except NotImplementedError:
        return None
    row = sample if len(single.inputs) > 1 else 0
    given, targets = logits(trainer, single.inputs)[row], single.targets[row]
    loss = trainer.step(single)
    for move in MOVES:
        for shifted in (_cut(targets, move), np.roll(targets, -move)):
            if abs(loss - _cross_entropy(given, shifted)) <= AGREES * abs(loss):
                return move
    return None


def _cut(targets: Array, move: int) -> Array:
    shifted = np.full_like(targets, IGNORE)
    size = len(targets) - abs(move)
    if size > 0:
        shifted[max(-move, 0) :][:size] = targets[max(move, 0) :][:size]
    return shifted


def _cross_entropy(given: Float64, targets: Array) -> float:
    """Mean of - log softmax(z)[t] over the counted targets. given: logits (L, V); targets (L,)."""
    rows = np.flatnonzero(targets != IGNORE)
    if not len(rows):
        return nan
    chosen = given[rows] - given[rows].max(axis=1, keepdims=True)
    return float((np.log(np.exp(chosen).sum(axis=1)) - chosen[np.arange(len(rows)), targets[rows]]).mean())

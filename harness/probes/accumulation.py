"""Is the gradient of a batch that of its samples, weighted by how many targets each counts?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.model import IGNORE, Array, Batch, Float64
from harness.probes import Context, Probe
from harness.probes._fresh import alone, calm, choose, fresh, load_drawn
from harness.probes._gradients import Overlap, norm
from harness.trainer import Trainer
from harness.training import counted

MOST_SAMPLES = 16
"""Samples whose gradients are asked one by one, or one of each micro-batch if those are more."""
SMALLEST = 1e-3
"""A tensor's error is relative to its norm, or to this share of the largest tensor's where that is more."""


class Accumulation(Probe):
    """Compares `gradients(batch)`, micro-batches and all, with the sum of single samples' gradients.

    A mean of means over micro-batches of unlike lengths points elsewhere; a sum that is not divided is
    too long as many times. Equal lengths would hide the first, so such samples are cut short. Asked at drawn
    weights.
    """

    def ask(self, context: Context) -> Mapping[str, Any]:
        """How the batch's gradient compares with the samples'.

        ratio: its projection on theirs; error: relative L2 distance; tensor_errors: the same by name.
        """
        parts = context.problem.config.micro_batches
        batch = _ragged(_part(context.problem.batches[0], parts))
        with fresh(context) as trainer:
            load_drawn(context.problem, trainer, batch.inputs)
            calm(trainer, batch.inputs)
            found, wanted = trainer.gradients(batch), _weighted_sum(trainer, batch, parts)
        overlap = Overlap.of((found.get(name), wanted[name]) for name in wanted)
        return {"ratio": overlap.ratio, "error": overlap.error, "tensor_errors": _errors(found, wanted)}


def _part(batch: Batch, micro_batches: int) -> Batch:
    """The first samples: as many as divide into the micro-batches.

    Raises:
        NotImplementedError: there is a single one.
    """
    if len(batch.inputs) < 2:
        raise NotImplementedError("a batch holds a single sample")
    each = max(1, MOST_SAMPLES // micro_batches)
    return choose(batch, slice(0, max(2, min(len(batch.inputs), micro_batches * each))))


def _ragged(batch: Batch) -> Batch:
    """Where all samples count as many targets, let each count another share of them. Sequences only."""
    counts = (batch.targets != IGNORE).reshape(len(batch.targets), -1).sum(axis=1)
    if batch.targets.dtype.kind != "i" or batch.targets.ndim != 2 or len(set(counts)) > 1:
        return batch
    targets = batch.targets.copy()
    for sample, count in enumerate(counts):
        keep = -(-count * (sample + 1) // len(counts))
        targets[sample, np.flatnonzero(targets[sample] != IGNORE)[keep:]] = IGNORE
    return replace(batch, targets=targets)


def _weighted_sum(trainer: Trainer, batch: Batch, micro_batches: int) -> dict[str, Float64]:
    total = counted(batch)
    wanted = {name: np.zeros(np.shape(values)) for name, values in trainer.parameters().items()}
    for sample in range(len(batch.inputs)):
        single = alone(trainer, batch, sample, micro_batches)
        for name, gradient in trainer.gradients(single).items():
            wanted[name] += gradient.astype(np.float64) * (counted(single) / total)
    return wanted


def _errors(found: Mapping[str, Array], wanted: Mapping[str, Float64]) -> dict[str, float]:
    norms = {name: norm([values]) for name, values in wanted.items()}
    least = SMALLEST * max(norms.values())
    return {
        name: float(
            Overlap.of([(found.get(name), wanted[name])]).apart ** 0.5 / max(norms[name], least, 1e-300)
        )
        for name in wanted
    }

"""Which samples were trained on, how often and in which order, and were held-out ones among them?"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from harness.model import Array, Batch
from harness.probes import Context, Probe
from harness.problem import Problem

TELLING = 8
"""Samples that an epoch must have for its order to tell: two shuffles of fewer agree too easily."""


class Ledger(Probe):
    """Reads sample ids and contents. An epoch is as many whole batches as there are different samples for."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """Counts over the whole training.

        epochs: begun ones. duplicates: samples whose id was seen before in the same epoch. coverage:
        different ids over those there are (as far as ids tell: up to the largest). repeated_batches: share
        of steps whose batch equals that of an earlier step of the epoch, or of any step where a single
        batch is all there is. same_order: epochs in the order of the one before; reshuffled: None where no
        second epoch could tell. held_out_overlap: held-out samples that occur in training; None where the
        data were too few to hold any out.
        """
        problem = context.problem
        ids = np.concatenate([batch.sample_ids for batch in problem.batches])
        epochs = _epochs(ids, problem.config.batch)
        compared, same = _orders(epochs)
        return {
            "epochs": len(epochs),
            "samples": len(ids),
            "duplicates": sum(len(epoch) - len(np.unique(epoch)) for epoch in epochs),
            "coverage": len(np.unique(ids)) / (int(ids.max()) + 1),
            "repeated_batches": _repeated(problem.batches, len(epochs[0]) // problem.config.batch),
            "same_order": same,
            "reshuffled": same == 0 if compared else None,
            "held_out_overlap": _overlap(problem) if problem.held_out_fresh else None,
        }


def _epochs(ids: Array, batch: int) -> list[Array]:
    """The ids, epoch by epoch; the last may be cut short.

    Epochs are cut to whole batches, so that the different ids of one or more epochs exceed an epoch by less
    than a batch.
    """
    size = max(1, len(np.unique(ids)) // batch) * batch
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def _orders(epochs: Sequence[Array]) -> tuple[int, int]:
    """How many epochs can be compared with the one before, and how many have its order, as far as they go."""
    pairs = [(before, epoch) for before, epoch in pairwise(epochs) if len(epoch) >= TELLING]
    return len(pairs), sum(np.array_equal(before[: len(epoch)], epoch) for before, epoch in pairs)


def _repeated(batches: Sequence[Batch], epoch: int) -> float:
    """Share of steps. epoch: in steps; a single batch is compared with all before it."""
    contents = [(batch.inputs.tobytes(), batch.targets.tobytes()) for batch in batches]
    repeats, seen = 0, set[tuple[bytes, bytes]]()
    for step, content in enumerate(contents):
        if epoch > 1 and step % epoch == 0:
            seen = set()
        repeats += content in seen
        seen.add(content)
    return repeats / len(contents)


def _overlap(problem: Problem) -> int:
    """Held-out samples whose inputs and targets both occur in training."""
    trained = {sample for batch in problem.batches for sample in _samples(batch)}
    return sum(sample in trained for sample in _samples(problem.held_out))


def _samples(batch: Batch) -> list[tuple[bytes, bytes]]:
    return [
        (inputs.tobytes(), targets.tobytes())
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True)
    ]

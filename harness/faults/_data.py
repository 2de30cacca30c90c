"""What faults of the data share: a problem with every batch changed."""

from collections.abc import Callable
from dataclasses import replace

from harness.model import Array, Batch
from harness.problem import Problem

Change = Callable[[Batch], Batch]


def every_batch(problem: Problem, change: Change) -> Problem:
    """The problem with each of its batches changed, the held-out one too: one loader serves them all."""
    batches = tuple(change(batch) for batch in problem.batches)
    return replace(problem, batches=batches, held_out=change(problem.held_out))


def rows(batch: Batch, chosen: Array) -> Batch:
    """Some samples of a batch, in the order given, copied."""
    return Batch(
        inputs=batch.inputs[chosen],
        targets=batch.targets[chosen],
        sample_ids=batch.sample_ids[chosen],
        lengths=batch.lengths[chosen],
    )

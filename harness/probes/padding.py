"""Does what lies behind a sample's end stay without effect, and without a say in the loss?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.model import IGNORE, Array, Batch
from harness.probes import Context, Probe
from harness.probes._fresh import calm, fresh, load_drawn, other, positions, relative
from harness.probes._gradients import Overlap
from harness.problem import Problem


class Padding(Probe):
    """Changes the inputs behind each sample's end, which must move neither loss nor gradient; counts targets.

    Where no sample has padding, samples are cut short for the question. Asked at drawn weights.
    """

    def ask(self, context: Context) -> Mapping[str, Any]:
        """What padding did.

        loss_change, gradient_change: relative. counted: targets of all data that count; expected: those of
        them that lie within their sample.
        """
        problem = context.problem
        batch = _padded(problem)
        changed = replace(batch, inputs=np.where(_behind(batch), other(problem, batch.inputs), batch.inputs))
        with fresh(context) as trainer:
            load_drawn(problem, trainer, batch.inputs)
            calm(trainer, batch.inputs)
            before, after = trainer.loss(batch), trainer.loss(changed)
            wanted, found = trainer.gradients(batch), trainer.gradients(changed)
        overlap = Overlap.of((found.get(name), wanted.get(name)) for name in {**wanted, **found})
        batches = (*problem.batches, problem.held_out)
        return {
            "loss_change": relative(abs(after - before), abs(before)),
            "gradient_change": relative(overlap.apart**0.5, overlap.wanted**0.5),
            "counted": sum(int((each.targets != IGNORE).sum()) for each in batches),
            "expected": sum(int(((each.targets != IGNORE) & ~_behind(each)).sum()) for each in batches),
        }


def _behind(batch: Batch) -> Array:
    """(B, L) whether a position lies behind the end of its sample."""
    return np.asarray(np.arange(batch.inputs.shape[1]) >= batch.lengths[:, None])


def _padded(problem: Problem) -> Batch:
    """The first batch with padding; where there is none, the first one with its samples cut short."""
    positions(problem.batches[0])
    found = next((batch for batch in problem.batches if _behind(batch).any()), None)
    return _cut(problem.batches[0]) if found is None else found


def _cut(batch: Batch) -> Batch:
    """Every sample ends somewhere behind its first counted target, each elsewhere.

    Raises:
        NotImplementedError: only the last target counts.
    """
    length = batch.inputs.shape[1]
    first = (batch.targets != IGNORE).argmax(axis=1)
    room = length - 1 - first
    if not room.any():
        raise NotImplementedError("only the last position of a sample counts: nothing can lie behind it")
    samples = np.arange(1, len(first) + 1)
    short = replace(batch, lengths=first + 1 + samples * room // (len(first) + 1))
    return replace(short, targets=np.where(_behind(short), IGNORE, batch.targets))

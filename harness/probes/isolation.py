"""Does a sample's result depend on the other samples of its batch, or on its place among them?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.model import Array, Float64
from harness.probes import Context, Probe
from harness.probes._fresh import calm, choose, fresh, load_drawn, logits, other, relative
from harness.trainer import Trainer


class Isolation(Probe):
    """Replaces samples and looks at those that stay; then moves all samples one place on.

    Axes that are mixed up, attention across the batch, or statistics taken over it make samples leak into
    each other. Asked at drawn weights whose logits are of order one.
    """

    def ask(self, context: Context) -> Mapping[str, Any]:
        """The largest changes: of logits in their standard deviations, of the loss relative.

        other_sample: of a sample's logits when the others are replaced. permuted_logits, permuted_loss: when
        the batch is permuted.
        """
        batch = context.problem.batches[0]
        if len(batch.inputs) < 2:
            raise NotImplementedError("a batch holds a single sample")
        replacement = other(context.problem, batch.inputs)
        permuted = choose(batch, np.roll(np.arange(len(batch.inputs)), 1))
        with fresh(context) as trainer:
            load_drawn(context.problem, trainer, batch.inputs)
            calm(trainer, batch.inputs)
            before, after = logits(trainer, batch.inputs), logits(trainer, permuted.inputs)
            apart = np.abs(after - np.roll(before, 1, axis=0)).max()
            loss, permuted_loss = trainer.loss(batch), trainer.loss(permuted)
            return {
                "other_sample": _other_sample(trainer, before, batch.inputs, replacement),
                "permuted_logits": relative(float(apart), float(np.std(before))),
                "permuted_loss": relative(abs(permuted_loss - loss), abs(loss)),
            }


def _other_sample(trainer: Trainer, before: Float64, inputs: Array, replacement: Array) -> float:
    """The first sample is replaced, then all but the first: either way those that stay must not move."""
    first, rest = inputs.copy(), inputs.copy()
    first[:1] = replacement[:1]
    rest[1:] = replacement[1:]
    moved = [
        np.abs(logits(trainer, first) - before)[1:].max(),
        np.abs(logits(trainer, rest) - before)[:1].max(),
    ]
    return relative(float(np.max(moved)), float(np.std(before)))

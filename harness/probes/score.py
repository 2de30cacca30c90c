"""Does the score that evaluation reports depend on the weights? A table of the answers would not."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.model import IGNORE, Array, Batch
from harness.probes import Context, Probe
from harness.probes._story import copied, opened
from harness.trainer import Trainer

BATCHES = 4
"""Batches that are scored: the held-out one, which may be small, and the last ones of training."""
SHUFFLES = 3
"""How often the weights are randomised; the mean counts, for one shuffle may be lucky."""


class Score(Probe):
    """Scores the trained weights, and the same numbers in random order within each tensor."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """trained, randomised: shares of counted targets that are right; chance: of the commonest target."""
        problem = context.problem
        batches = (problem.held_out, *problem.batches[-(BATCHES - 1) :])
        if problem.held_out.targets.dtype.kind != "i":
            raise NotImplementedError("a regression predicts no classes")
        weights = copied(context.observed.parameters())
        with opened(context.build()) as trainer:
            trainer.load(weights)
            trained, randomised = _score(trainer, batches), []
            generator = np.random.default_rng(problem.config.seed)
            for _ in range(SHUFFLES):
                trainer.load({name: generator.permuted(values) for name, values in weights.items()})
                randomised.append(_score(trainer, batches))
        return {"trained": trained, "randomised": float(np.mean(randomised)), "chance": _chance(batches)}


def _score(trainer: Trainer, batches: tuple[Batch, ...]) -> float:
    """Over all targets: batches of ragged samples hold different numbers of them."""
    counts = [int((batch.targets != IGNORE).sum()) for batch in batches]
    return float(np.average([trainer.score(batch) for batch in batches], weights=counts))


def _chance(batches: tuple[Batch, ...]) -> float:
    targets: Array = np.concatenate([batch.targets.ravel() for batch in batches])
    counts = np.bincount(targets[targets != IGNORE])
    return float(counts.max() / counts.sum())

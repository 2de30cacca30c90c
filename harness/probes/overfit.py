"""Can the training learn one batch by heart, given it again and again at the full learning rate?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.probes import Context, Probe
from harness.probes._story import TINY, opened
from harness.spec import Schedule

MOST_STEPS = 40
"""Steps on the one batch."""
LEARNED = 0.01
"""The share of the first loss at which it stops: nothing is left to learn."""


class Overfit(Probe):
    """Trains a fresh trainer on the first batch, without warm-up or decay of the learning rate."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """start: first loss; end: median of the last three; drop: (start - end) / |start|; steps taken."""
        problem, losses = context.problem, list[float]()
        batch = problem.batches[0]
        constant = replace(problem, config=replace(problem.config, schedule=Schedule()))
        with opened(context.build(constant)) as trainer:
            while len(losses) < MOST_STEPS and not (losses and losses[-1] < LEARNED * losses[0]):
                losses.append(float(trainer.step(batch)))
        start, end = losses[0], float(np.median(losses[-3:]))
        return {
            "start": start,
            "end": end,
            "drop": (start - end) / max(abs(start), TINY),
            "steps": len(losses),
        }

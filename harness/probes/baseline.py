"""How well does the same training do that sees nothing, its inputs all replaced by one constant?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.probes import Context, Probe
from harness.probes._story import Notes, opened

MOST_STEPS = 60
"""Steps of the blind training. It learns how often each target occurs, which takes few."""


class Baseline(Probe):
    """Trains a fresh trainer on the same targets, with zeros (the first token) for inputs."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """blind_loss, seeing_loss: means over the last tenth of the same steps; steps: their number."""
        batches = context.problem.batches[:MOST_STEPS]
        blind = [replace(batch, inputs=np.zeros_like(batch.inputs)) for batch in batches]
        window = max(1, len(batches) // 10)
        with opened(context.build()) as trainer:
            losses = Notes(trainer).train(blind).losses
            return {
                "blind_loss": float(np.mean(losses[-window:])),
                "seeing_loss": float(np.mean(context.trace.loss[: len(batches)][-window:])),
                "steps": len(batches),
            }

"""How does the loss fall from other seeds: other starting weights, other batches?"""

from collections.abc import Mapping
from typing import Any

from harness.probes import Context, Probe
from harness.probes._story import opened


class Convergence(Probe):
    """Trains from as many seeds as a check of the case asks for; from the case's own it has trained."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """losses: of every step, by seed, the case's own first."""
        losses = {str(context.problem.config.seed): [float(loss) for loss in context.losses]}
        for problem in context.others:
            with opened(context.build(problem)) as trainer:
                losses[str(problem.config.seed)] = [float(trainer.step(batch)) for batch in problem.batches]
        return {"losses": losses}

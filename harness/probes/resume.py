"""Is a training that is broken off and resumed by a fresh trainer the same as one that went through?"""

from collections.abc import Mapping
from typing import Any

from harness.probes import Context, Probe
from harness.probes._story import Notes, copied, distance, opened, relative

MOST_STEPS = 12
"""Steps of the whole, of which half come after the break."""


class Resume(Probe):
    """Holds 2 N steps beside N steps, the state, a fresh trainer, and N steps."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """All that is found.

        split: steps before the break. resumed_at: the step that the resumed training takes itself to be at;
        where its data go on. loss_difference, rate_difference (learning rate): relative, for each step
        after the break. weights_difference: the largest relative L2 distance of any tensor at the end.
        """
        batches = context.problem.batches[:MOST_STEPS]
        if len(batches) < 2:
            raise NotImplementedError("a training of one step cannot be broken off halfway")
        split = len(batches) // 2
        with opened(context.build()) as trainer:
            whole, weights = Notes(trainer).train(batches), copied(trainer.parameters())
        with opened(context.build()) as trainer:
            Notes(trainer).train(batches[:split])
            state = trainer.state()
        with opened(context.build()) as trainer:
            trainer.restore(state)
            resumed_at = int(getattr(trainer, "position", split))
            rest = [
                batches[number % len(batches)]
                for number in range(resumed_at, resumed_at + len(batches) - split)
            ]
            again = Notes(trainer).train(rest)
            return {
                "split": split,
                "resumed_at": resumed_at,
                "loss_difference": relative(again.losses, whole.losses[split:]),
                "rate_difference": relative(again.rates, whole.rates[split:]),
                "weights_difference": distance(trainer.parameters(), weights),
            }

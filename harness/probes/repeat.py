"""Does training again from the same problem give the same bits, and if not, where does it part?"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from harness.diverge import NONE, parting_of
from harness.model import Trace
from harness.passes import recorded_training
from harness.probes import Context, Probe


class Repeat(Probe):
    """Compares the observed training with the timed one: it shows too that observing is harmless."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """losses: of the training that nobody observed; weights_equal: to the last bit, at the end.

        Only where they differ: parting: step, stage, tensor and relative difference where another recorded
        training first leaves the recorded one; None if it does not.
        """
        losses = [float(loss) for loss in context.losses]
        equal = context.weights_digest == context.observed_digest
        found = {"losses": losses, "weights_equal": equal}
        if equal and np.array_equal(context.trace.loss, losses, equal_nan=True):
            return found
        return found | {"parting": _parting(context)}


def _parting(context: Context) -> Mapping[str, Any] | None:
    """The training that nobody recorded tells its losses only, so a third one is recorded."""
    trainer = context.build()
    try:
        again = recorded_training(trainer, context.problem)
    finally:
        trainer.close()
    found = parting_of(context.trace, again, NONE)
    if found is not None:
        return {**asdict(found), "stage": str(found.stage), "words": found.words()}
    return _changed_weights(context.trace, again)


def _changed_weights(trace: Trace, again: Trace) -> Mapping[str, Any] | None:
    """Bits may differ where all norms are equal: each step's checksum of the weights tells."""
    pairs = zip(trace.digests, again.digests, strict=False)
    step = next((step for step, (ours, theirs) in enumerate(pairs) if ours != theirs), None)
    if step is None:
        return None
    words = f"step {step}, update: equal in norm, not in bits"
    return {"step": step, "stage": "update", "tensor": "", "words": words}

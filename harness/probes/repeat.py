"""Does training again from the same problem give the same bits?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.probes import Context, Probe


class Repeat(Probe):
    """Compares the observed training with the timed one: it shows too that observing is harmless."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """first_different_step: None when all losses are bitwise equal; weights_equal: at the end."""
        first, second = np.asarray(context.losses), context.trace.loss
        if len(first) != len(second):
            return {"first_different_step": min(len(first), len(second)), "weights_equal": False}
        # Compared as bits: two NaN are the same outcome.
        different = np.flatnonzero(first.view(np.int64) != second.view(np.int64))
        step = int(different[0]) if len(different) else None
        return {
            "first_different_step": step,
            "weights_equal": context.weights_digest == context.observed_digest,
        }

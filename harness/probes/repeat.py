"""Does training again from the same problem give the same bits?"""

from collections.abc import Mapping
from typing import Any

from harness.probes import Context, Probe


class Repeat(Probe):
    """Compares the observed training with the timed one: it shows too that observing is harmless."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """losses: of the training that nobody observed; weights_equal: to the last bit, at the end."""
        return {
            "losses": [float(loss) for loss in context.losses],
            "weights_equal": context.weights_digest == context.observed_digest,
        }

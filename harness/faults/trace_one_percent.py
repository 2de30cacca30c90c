"""Every loss is 1 % higher."""

from typing import ClassVar

from harness.faults import TraceFault
from harness.faults._traces import trace_of, with_losses
from harness.model import Facts


class TraceOnePercent(TraceFault):
    """A small mistake in the loss, far above what rounding does."""

    named: ClassVar[tuple[str, ...]] = ("diverges_from_reference_at_step", "loss_wrong_scale")

    def spoil(self, facts: Facts) -> Facts:
        """Raise them all."""
        return with_losses(facts, 1.01 * trace_of(facts).loss)

"""Every loss is 0.2 % higher."""

from typing import ClassVar

from harness.faults import TraceFault
from harness.faults._traces import trace_of, with_losses
from harness.model import Facts


class TraceOneSigned(TraceFault):
    """Within the noise at each step, and always to the same side: the mark of a real mistake."""

    named: ClassVar[tuple[str, ...]] = ("diverges_from_reference_at_step", "loss_wrong_scale")

    def spoil(self, facts: Facts) -> Facts:
        """Raise them all."""
        return with_losses(facts, 1.002 * trace_of(facts).loss)

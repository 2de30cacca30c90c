"""No measurement was recorded."""

from dataclasses import replace
from typing import ClassVar

from harness.faults import TraceFault
from harness.model import Facts


class TraceMetricMissing(TraceFault):
    """A renamed or failed measurement, which must not count as a good one; the reason says it all."""

    named: ClassVar[tuple[str, ...]] = ()

    def spoil(self, facts: Facts) -> Facts:
        """Forget them all."""
        if not facts.measurements:
            raise NotImplementedError("nothing was measured")
        return replace(facts, measurements={})

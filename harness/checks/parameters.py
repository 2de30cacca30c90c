"""The model has exactly this many parameters."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from harness.checks import Check
from harness.checks._common import missing
from harness.model import Facts, Status, Verdict
from harness.spec import Count


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters(Check):
    """`parameters: 12416`. Counted in the live model, shared tensors once."""

    entire: ClassVar[str] = "count"

    count: Count

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """Compare exactly."""
        if facts.parameters is None:
            return [missing(self.name, "the parameter count")]
        good = facts.parameters == self.count
        return [
            Verdict(
                check=self.name,
                status=Status.PASS if good else Status.FAIL,
                observed=facts.parameters,
                expected=f"{self.count:,}",
                reason="" if good else "out_of_bounds",
                message=f"{facts.parameters:,} parameters, expected {self.count:,}",
            )
        ]

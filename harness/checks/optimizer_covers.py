"""The optimizer holds all of the model's parameters."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.checks import Check
from harness.checks._common import listed, unanswered
from harness.model import Facts, Status, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerCovers(Check):
    """`optimizer_covers: all`: none is out of its reach, as one made or replaced after it would be."""

    entire: ClassVar[str] = "tensors"
    probes: ClassVar[tuple[str, ...]] = ("coverage",)

    tensors: Literal["all"]

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        lacking = unanswered(self.name, facts, "coverage", "what the optimizer holds")
        if lacking:
            return [lacking]
        found = facts.answers["coverage"].facts
        missing, number = found["missing"], len(found["missing"]) + len(found["optimized"])
        covered = f"the optimizer holds {number - len(missing)} of {number} parameters"
        why = f", expected all; without {listed(missing)}, it can never move them"
        return [
            Verdict(
                check=self.name,
                status=Status.FAIL if missing or not number else Status.PASS,
                observed=float(number - len(missing)),
                expected=f"{number}",
                tensor=missing[0] if missing else "",
                reason="uncovered" if missing or not number else "",
                message=covered + (why if missing else ""),
            )
        ]

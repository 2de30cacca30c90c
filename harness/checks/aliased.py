"""No two tensors share their memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.checks import Check
from harness.checks._common import listed, missing, unanswered
from harness.model import Facts, Status, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Aliased(Check):
    """`aliased: none`: writing to one tensor changes no other. Weights tied on purpose have a single name."""

    entire: ClassVar[str] = "tensors"
    probes: ClassVar[tuple[str, ...]] = ("coverage",)

    tensors: Literal["none"]

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        lacking = unanswered(self.name, facts, "coverage", "which tensors share memory")
        if lacking:
            return [lacking]
        pairs = facts.answers["coverage"].facts.get("aliased")
        if pairs is None:  # of a program that runs as it is, only what moves is seen
            return [missing(self.name, "which tensors share memory")]
        shown = listed([f"{one} and {other}" for one, other in pairs])
        why = "they are one tensor under two names (one layer used twice?)"
        bad = f"{len(pairs)} pairs of tensors share memory, expected none: {shown}; {why}"
        return [
            Verdict(
                check=self.name,
                status=Status.FAIL if pairs else Status.PASS,
                observed=float(len(pairs)),
                expected="0",
                tensor=pairs[0][0] if pairs else "",
                reason="aliased" if pairs else "",
                message=bad if pairs else "no two tensors share memory",
            )
        ]

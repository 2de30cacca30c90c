"""The ranks of a distributed training hold the same weights, and divide each batch among them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.checks import Check
from harness.checks._common import unanswered
from harness.model import Facts, Status, Verdict
from harness.units import show


@dataclass(frozen=True, kw_only=True, slots=True)
class Replicas(Check):
    """`replicas: {agree: true, sharded: true}`: equal weights after each step; each sample in one rank."""

    probes: ClassVar[tuple[str, ...]] = ("replicas",)

    agree: bool = False
    sharded: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        if not (self.agree or self.sharded):
            raise ValueError("expected agree: true or sharded: true; otherwise nothing can fail")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for each of the two that is expected."""
        lacking = unanswered(self.name, facts, "replicas", "what each rank holds")
        if lacking:
            return [lacking]
        found = facts.answers["replicas"].facts
        return [
            *([_agree(self.name, found)] if self.agree else []),
            *([_sharded(self.name, found)] if self.sharded else []),
        ]


def _agree(check: str, found: Mapping[str, Any]) -> Verdict:
    ranks, distance = found["ranks"], found["distance"]
    if distance == 0:  # also lets NaN fail
        message = f"the {ranks} ranks hold the same weights after each of {found['steps']} steps"
        return Verdict(check=check, status=Status.PASS, observed=distance, expected="0", message=message)
    message = (
        f"the weights of {ranks} ranks part after step {found['apart_from']}, up to {show(distance, '%')},"
        " expected equal ones"
    )
    return Verdict(
        check=check,
        status=Status.FAIL,
        observed=distance,
        expected="0",
        step=found["apart_from"],
        reason="out_of_sync",
        message=message,
    )


def _sharded(check: str, found: Mapping[str, Any]) -> Verdict:
    wrong = found["shared"] + found["left_out"]
    if wrong == 0:
        message = f"each of {found['samples']} samples was taken by one of {found['ranks']} ranks"
        return Verdict(check=check, status=Status.PASS, observed=0.0, expected="0", message=message)
    message = (
        f"of {found['samples']} samples {found['shared']} were taken by more than one rank and"
        f" {found['left_out']} by none, expected each in one"
    )
    return Verdict(
        check=check,
        status=Status.FAIL,
        observed=float(wrong),
        expected="0",
        step=found["unsharded_from"],
        reason="unsharded",
        message=message,
    )

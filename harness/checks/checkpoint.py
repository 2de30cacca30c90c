"""A checkpoint is no larger than it should be, and gives every weight back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, bounds_read, listed, missing, need_a_bound, ordered, unanswered
from harness.model import Facts, Status, Verdict
from harness.units import Bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint(Check):
    """`checkpoint: {at_most: 51 KiB, round_trip: exact}`.

    at_least, at_most: bytes on disk. round_trip: `exact`, loading gives the same bits as were saved.
    """

    probes: ClassVar[tuple[str, ...]] = ("checkpoint",)

    at_least: Bytes | None = None
    at_most: Bytes | None = None
    round_trip: Literal["exact"] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most, round_trip=self.round_trip)
        ordered(self.at_least, self.at_most)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict on the size, one on what came back, as far as they are asked for."""
        lacking = unanswered(self.name, facts, "checkpoint", "a checkpoint")
        if lacking:
            return [lacking]
        found = facts.answers["checkpoint"].facts
        verdicts = []
        if self.round_trip:
            known = "difference" in found
            verdicts = [
                self._round_trip(found) if known else missing(self.name, "what a checkpoint gives back")
            ]
        if self.at_least is None and self.at_most is None:
            return verdicts
        size = float(found["bytes"])
        return [bounded(self.name, size, self.at_least, self.at_most, unit="B", about="on disk"), *verdicts]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The size on disk."""
        if unanswered(self.name, facts, "checkpoint", "") is not None:
            return {}
        size = float(facts.answers["checkpoint"].facts["bytes"])
        return bounds_read(size, self.at_least, self.at_most, unit="B", least=0.0)

    def _round_trip(self, found: Mapping[str, Any]) -> Verdict:
        wrong, difference = _loss(found), float(found["difference"])
        return Verdict(
            check=self.name,
            status=Status.FAIL if wrong else Status.PASS,
            observed=difference,
            expected="0",
            tensor=found["lost"][0] if found["lost"] else "",
            reason="inexact" if wrong else "",
            message=wrong or "saving and loading gives the same bits back",
        )


def _loss(found: Mapping[str, Any]) -> str:
    """What the way through the file did to the weights; empty when nothing."""
    if found["error"]:
        return f"the checkpoint that was saved cannot be loaded: {found['error']:.200}"
    if found["lost"]:
        lost = f"{len(found['lost'])} tensors do not come back from the checkpoint: {listed(found['lost'])}"
        return f"{lost}, expected all; a model resumed from it is another one"
    if found["difference"] != 0:  # NaN too
        return (
            f"a weight changes by {found['difference']:.4g} on its way through the checkpoint, "
            "expected the same bits; it is saved in a lower precision"
        )
    return ""

"""Training twice from the same problem gives the same bits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.checks import Check
from harness.checks._common import first_different_step, missing, skipped
from harness.model import Facts, Status, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Deterministic(Check):
    """`deterministic: true`: losses and final weights of two fresh trainings are bitwise equal.

    One of the two is recorded, the other only timed: so it also shows that recording is harmless and right.
    """

    entire: ClassVar[str] = "required"
    probes: ClassVar[tuple[str, ...]] = ("repeat",)

    required: bool

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        if not self.required:
            raise ValueError("nothing can be expected of a training that may differ; leave the key out")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        answer = facts.answers.get("repeat")
        if answer is None:
            return [missing(self.name, "a second training")]
        if answer.skipped:
            return [skipped(self.name, answer.skipped)]
        step, equal = first_different_step(facts), answer.facts["weights_equal"]
        if step is None and equal:
            return [Verdict(check=self.name, status=Status.PASS, message="two trainings gave the same bits")]
        where = f"the loss of step {step}" if step is not None else "the final weights"
        message = f"two trainings from the same problem differ in {where}, expected the same bits"
        return [self._parted(step, message, answer.facts)]

    def _parted(self, step: int | None, message: str, found: Mapping[str, Any]) -> Verdict:
        """The failure, with where two recorded trainings part if that was looked for."""
        parting = found.get("parting")
        if parting:
            message += f"; two that were recorded part first at {parting['words']}"
        elif "parting" in found:
            message += "; two that were recorded agree: does recording change the training?"
        return Verdict(
            check=self.name,
            status=Status.FAIL,
            reason="nondeterministic",
            step=parting["step"] if parting else step,
            tensor=parting["tensor"] if parting else "",
            message=message,
        )

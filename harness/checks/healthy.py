"""No diagnosis that stands alone speaks against the program."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.checks import Check
from harness.checks._common import listed, missing
from harness.diagnoses import PROOF
from harness.discover import working
from harness.judge import diagnose
from harness.model import Facts, Status, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Healthy(Check):
    """`healthy: true`: of a program that was observed, whatever is known to make trainings sick is absent."""

    entire: ClassVar[str] = "on"

    on: bool

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        if not self.on:
            raise ValueError("nothing can be expected of a program that need not be healthy; leave it out")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for each finding, or one that says that there is none."""
        program = facts.answers.get("program")
        if program is None or facts.trace is None:
            return [missing(self.name, "what observers see of a program")]
        found = list(_findings(facts))
        proven = [each for each in found if each["weight"] >= PROOF]
        if proven and "keeper" not in program.facts.get("broken", {}):
            return [self._sick(each) for each in proven]
        broken = [*program.facts.get("broken", {}), *(each["name"] for each in found if not each["weight"])]
        if broken:
            message = f"could not look at everything: {listed(broken)} broke"
            return [self._verdict(Status.ERROR, message, "broken")]
        guesses = "; ".join(f"a guess: {each['cause']}" for each in found)
        return [self._verdict(Status.PASS, f"nothing speaks against it{guesses and '; ' + guesses}")]

    def _sick(self, finding: Mapping[str, Any]) -> Verdict:
        return Verdict(
            check=self.name, status=Status.FAIL, observed=finding["name"], expected="no finding",
            step=finding["step"], tensor=finding["tensor"], reason="unhealthy", message=finding["cause"],
        )  # fmt: skip

    def _verdict(self, status: Status, message: str, reason: str = "") -> Verdict:
        return Verdict(check=self.name, status=status, message=message, reason=reason)


def _findings(facts: Facts) -> Iterator[Mapping[str, Any]]:
    """What speaks against the main training, by weight, then what was found of the others."""
    experts = [one() for one in working("diagnoses").values() if one.alone]
    names = ("name", "cause", "weight", "step", "tensor")
    main = [{name: getattr(each, name) for name in names} for each in diagnose(experts, facts)]
    yield from main
    said = {each["cause"] for each in main}
    others = facts.answers["others"].facts["trainings"] if "others" in facts.answers else ()
    for other in others:
        # What is said of the program as a whole is said once.
        new = [each for each in other["findings"] if each["cause"] not in said]
        yield from ({**each, "cause": f"of {other['name']}: {each['cause']}"} for each in new)

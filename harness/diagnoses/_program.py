"""What diagnoses of observed programs share: reading the observers' answers, and making a finding."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found
from harness.model import Diagnosis, Facts

ENOUGH = 5
"""Updates that an observation needs before anything is said of a habit."""


class ProgramDiagnostician(Diagnostician):
    """Base of those that read what observers saw of a program."""

    alone: ClassVar[bool] = True

    def finding(  # noqa: PLR0913 - a diagnosis has that many parts
        self,
        cause: str,
        remedy: str,
        weight: float,
        *,
        step: int | None = None,
        tensor: str = "",
        evidence: Sequence[str] = (),
    ) -> Diagnosis:
        """A diagnosis under this one's name."""
        return Diagnosis(
            name=self.name, cause=cause, remedy=remedy, weight=weight, step=step, tensor=tensor,
            evidence=tuple(evidence),
        )  # fmt: skip


def entries(facts: Facts, observer: str, key: str) -> list[Mapping[str, Any]]:
    """A list of mappings in an observer's answer; empty where it has none."""
    values = found(facts, observer).get(key)
    listed = values if isinstance(values, Sequence) and not isinstance(values, str) else ()
    return [each for each in listed if isinstance(each, Mapping)]


def of_training(facts: Facts, observer: str) -> Mapping[str, Any]:
    """The part of an observer's answer that is about this training."""
    number, told = found(facts, "training").get("number", -1), entries(facts, observer, "trainings")
    return told[number] if isinstance(number, int) and 0 <= number < len(told) else {}


def several(value: Any) -> list[Any]:
    """What a list holds; nothing where it is none."""
    return list(value) if isinstance(value, list | tuple) else []


def count(source: Any, key: str) -> float:
    """A number of an answer; 0 where there is none."""
    value = source.get(key) if isinstance(source, Mapping) else None
    return float(value) if isinstance(value, int | float) else 0.0


def step_at(source: Any, key: str) -> int | None:
    """A step of an answer; None where there is none."""
    value = count(source, key)
    return int(value) if math.isfinite(value) and value >= 0 else None


def steps_of(facts: Facts) -> float:
    """Updates of this training."""
    return count(found(facts, "training"), "steps")


def alone_in_program(facts: Facts) -> bool:
    """Whether only one optimizer stepped: with several, losses are a contest, or parts of one."""
    trainings = found(facts, "program").get("trainings")
    return isinstance(trainings, Sequence) and len(trainings) == 1


def ended_by_itself(facts: Facts) -> bool:
    """Whether the program came to its own end: what it had not done by then it never does."""
    return found(facts, "program").get("ending") in ("completed", "left")


def at(where: Any) -> str:
    """` (train.py:41)`, or nothing."""
    return f" ({where})" if where else ""


def training_sites(facts: Facts) -> list[Mapping[str, Any]]:
    """Calls of loss functions that gradients came from."""
    return [site for site in entries(facts, "losses", "sites") if site.get("training")]


def main_site(facts: Facts) -> Mapping[str, Any]:
    """The loss function that was called most in training."""
    return max(training_sites(facts), key=lambda site: count(site, "calls"), default={})

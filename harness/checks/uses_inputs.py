"""The training does better than one that sees nothing of its inputs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness.checks import Check, Keys, Reading
from harness.checks._common import bounded, unanswered
from harness.model import Facts, Verdict
from harness.units import Percent


@dataclass(frozen=True, kw_only=True, slots=True)
class UsesInputs(Check):
    """`uses_inputs: {better_by: 5%}`.

    better_by: by how much of its value, at least, the loss lies below that of the same training with all
    inputs replaced by one constant, after as many steps.
    """

    probes: ClassVar[tuple[str, ...]] = ("baseline",)

    better_by: Percent

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        if not 0 < self.better_by < 1:
            raise ValueError(f"expected better_by above 0% and below 100%, got {100 * self.better_by:.4g}%")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict."""
        lacking = unanswered(self.name, facts, "baseline", "a training without inputs")
        if lacking:
            return [lacking]
        found = facts.answers["baseline"].facts
        blind, seeing = float(found["blind_loss"]), float(found["seeing_loss"])
        gain = _gain(blind, seeing)
        about = f"below a training without inputs ({blind:.4g} to {seeing:.4g} after {found['steps']} steps)"
        hint = "inputs and targets have nothing to do with each other, or the model ignores its inputs"
        return [bounded(self.name, gain, self.better_by, None, unit="%", about=about, hint=hint)]

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """What the inputs gain."""
        if unanswered(self.name, facts, "baseline", "") is not None:
            return {}
        found = facts.answers["baseline"].facts
        gain = _gain(float(found["blind_loss"]), float(found["seeing_loss"]))
        return {("better_by",): Reading(value=gain, low=self.better_by, unit="%", least=0.0, most=1.0)}


def _gain(blind: float, seeing: float) -> float:
    return (blind - seeing) / abs(blind) if blind else 0.0

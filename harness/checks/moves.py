"""Each tensor moves in training, or stands still where it should."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.checks import Check
from harness.checks._common import listed, matching, missing, unanswered
from harness.model import Facts, Status, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves(Check):
    """`moves: {"*": true, "embedding": false}`: which tensors must move; the last matching pattern counts.

    A tensor moves when any of its elements changes at any step; rows of tokens that never occur may stand
    still. A tensor whose gradient is zero in theory, and rounding in practice, may do either: the bias of
    attention keys.
    """

    entire: ClassVar[str] = "tensors"
    probes: ClassVar[tuple[str, ...]] = ("coverage",)

    tensors: Mapping[str, bool]

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        if not self.tensors:
            raise ValueError("give at least one tensor pattern")

    @property
    def patterns(self) -> tuple[str, ...]:
        """The keys."""
        return tuple(self.tensors)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for the tensors that must move, one for those that must not, if there are any."""
        lacking = unanswered(self.name, facts, "coverage", "which tensors moved")
        if lacking:
            return [lacking]
        found = facts.answers["coverage"].facts
        names = (*found["moved"], *found["unmoved"])
        idle = [pattern for pattern in self.tensors if not matching(pattern, names)]
        if idle:
            return [missing(self.name, f"a tensor that matches '{idle[0]}'")]
        wanted = {name: wish for pattern, wish in self.tensors.items() for name in _named(pattern, names)}
        return [self._verdict(found, wanted, wish) for wish in (True, False) if wish in wanted.values()]

    def _verdict(self, found: Mapping[str, Any], wanted: Mapping[str, bool], wish: bool) -> Verdict:
        asked = [name for name, each in wanted.items() if each is wish]
        others = set(found["unmoved" if wish else "moved"]) - set(found["negligible"])
        wrong = [name for name in asked if name in others]
        did, due = ("stood still", "to move") if wish else ("moved", "to stand still")
        why = "frozen, detached, or their updates vanish in rounding" if wish else "they are not frozen"
        bad = f"{len(wrong)} of {len(asked)} tensors {did}, expected all {due}: {listed(wrong)}; {why}"
        good = f"{len(asked)} tensors {'moved' if wish else 'stood still'}"
        return Verdict(
            check=self.name,
            status=Status.FAIL if wrong else Status.PASS,
            observed=float(len(asked) - len(wrong)),
            expected=f"{len(asked)}",
            tensor=wrong[0] if wrong else "",
            reason=("unmoved" if wish else "moved") if wrong else "",
            message=bad if wrong else good,
        )


def _named(pattern: str, names: tuple[str, ...]) -> list[str]:
    return [names[index] for index in matching(pattern, names)]

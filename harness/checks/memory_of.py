"""What the parts of a training take in memory, as the backend tells it: weights, gradients, optimizer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness.checks import Check, Keys, Reading
from harness.checks._common import listed, measured, measurement_read, missing, need_a_bound, ordered, skipped
from harness.model import Facts, Verdict
from harness.units import Bytes

PREFIX = "memory."


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A floor, a ceiling, or both, in bytes."""

    at_least: Bytes | None = None
    at_most: Bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail or cannot hold."""
        need_a_bound(at_least=self.at_least, at_most=self.at_most)
        ordered(self.at_least, self.at_most)


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryOf(Check):
    """`memory_of: {shared_gradient: {at_most: 0.5 MiB}, gradients: {at_most: 2 MiB}}`, by part.

    The parts are those that the backend tells of; of an engine in C, those of `engine_memory` in engine.h.
    """

    entire: ClassVar[str] = "parts"

    parts: Mapping[str, Size]

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        if not self.parts:
            raise ValueError("give at least one part, such as gradients")

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict a part."""
        told = [name.removeprefix(PREFIX) for name in facts.measurements if name.startswith(PREFIX)]
        if not told:
            return [skipped(self.name, "the backend does not tell what the parts of a training take")]
        return [self._part(facts, part, told) for part in self.parts]

    def _part(self, facts: Facts, part: str, told: list[str]) -> Verdict:
        if part not in told:
            return missing(self.name, f"the memory of '{part}', of {listed(told, len(told))},")
        low, high = self.parts[part].at_least, self.parts[part].at_most
        return measured(self.name, facts, PREFIX + part, low, high, about=f"is what {part} takes")

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """What each part takes."""
        return {
            (part, *keys): reading
            for part, size in self.parts.items()
            for keys, reading in measurement_read(
                facts, PREFIX + part, size.at_least, size.at_most, kind="memory"
            ).items()
        }

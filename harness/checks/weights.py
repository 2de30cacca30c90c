"""Each tensor's weights stay within their range: the norm at every step, the mean magnitude at the start."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness.checks import Check, Keys, Reading
from harness.checks._common import matching, missing, need_a_bound, range_read
from harness.checks.gradients import in_range
from harness.model import Facts, Trace, Verdict
from harness.units import Range


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightBounds:
    """norm: range of the L2 norm at every step. mean: range of the mean magnitude before the first update."""

    norm: Range | None = None
    mean: Range | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_a_bound(norm=self.norm, mean=self.mean)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights(Check):
    """`weights: {"*.weight": {mean: [0.01, 0.1]}}` by tensor pattern."""

    entire: ClassVar[str] = "tensors"

    tensors: Mapping[str, WeightBounds]

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        if not self.tensors:
            raise ValueError("give at least one tensor pattern")

    @property
    def patterns(self) -> tuple[str, ...]:
        """The keys."""
        return tuple(self.tensors)

    @property
    def columns(self) -> tuple[str, ...]:
        """What its bounds are bounds of."""
        bounds = self.tensors.values()
        given = {
            "weight_norm": any(each.norm for each in bounds),
            "weight_mean": any(each.mean for each in bounds),
        }
        return tuple(name for name, asked in given.items() if asked)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for each bound of each pattern."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the weights")]
        return [verdict for pattern in self.tensors for verdict in self._pattern(facts.trace, pattern)]

    def _pattern(self, trace: Trace, pattern: str) -> Iterable[Verdict]:
        columns, bounds = matching(pattern, trace.tensors), self.tensors[pattern]
        if not columns:
            yield missing(self.name, f"a tensor that matches '{pattern}'")
            return
        names = tuple(trace.tensors[column] for column in columns)
        if bounds.norm is not None:
            yield in_range(self.name, "norm", trace.weight_norm[:, columns], bounds.norm, names)
        if bounds.mean is not None:
            yield in_range(self.name, "mean magnitude", trace.weight_mean[:1, columns], bounds.mean, names)

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The extremes over all tensors of a pattern, and of the norm over all steps."""
        found: dict[Keys, Reading] = {}
        trace = facts.trace
        if trace is None or trace.steps == 0:
            return found
        for pattern, bounds in self.tensors.items():
            columns = matching(pattern, trace.tensors)
            norm, mean = trace.weight_norm[:, columns], trace.weight_mean[:1, columns]
            found |= range_read((pattern, "norm"), norm, bounds.norm, least=0.0)
            found |= range_read((pattern, "mean"), mean, bounds.mean, least=0.0)
        return found

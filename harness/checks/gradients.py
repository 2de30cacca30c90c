"""Each tensor's gradient stays within its range at every step, and reaches every element."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.checks import Check, Keys, Reading
from harness.checks._common import (
    bounded,
    expected,
    first_outside,
    matching,
    missing,
    need_a_bound,
    range_read,
)
from harness.model import Facts, Float64, Status, Trace, Verdict
from harness.units import Percent, Range, show


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientBounds:
    """norm, largest: range of the L2 norm and of the largest magnitude, at every step, before clipping.

    dead: the largest share of a tensor's elements that may receive no gradient, at the tensor's best step.
    """

    norm: Range | None = None
    largest: Range | None = None
    dead: Percent | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot fail."""
        need_a_bound(norm=self.norm, largest=self.largest, dead=self.dead)
        if self.dead is not None and not 0 <= self.dead < 1:
            raise ValueError(f"expected dead of at least 0% and below 100%, got {100 * self.dead:.4g}%")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gradients(Check):
    """`gradients: {"*": {norm: [1e-4, 10], dead: 0}, "embedding": {largest: [1e-4, 1]}}`, by pattern."""

    entire: ClassVar[str] = "tensors"

    tensors: Mapping[str, GradientBounds]

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
            "gradient_norm": any(each.norm for each in bounds),
            "gradient_largest": any(each.largest for each in bounds),
            "gradient_nonzero": any(each.dead is not None for each in bounds),
        }
        return tuple(name for name, asked in given.items() if asked)

    def judge(self, facts: Facts) -> Iterable[Verdict]:
        """One verdict for each bound of each pattern."""
        if facts.trace is None or facts.trace.steps == 0:
            return [missing(self.name, "the gradients")]
        return [verdict for pattern in self.tensors for verdict in self._pattern(facts.trace, pattern)]

    def _pattern(self, trace: Trace, pattern: str) -> Iterable[Verdict]:
        columns, bounds = matching(pattern, trace.tensors), self.tensors[pattern]
        if not columns:
            yield missing(self.name, f"a tensor that matches '{pattern}'")
            return
        names = tuple(trace.tensors[column] for column in columns)
        for quantity, values, allowed in (
            ("norm", trace.gradient_norm, bounds.norm),
            ("largest element", trace.gradient_largest, bounds.largest),
        ):
            if allowed is not None:
                yield in_range(self.name, quantity, values[:, columns], allowed, names)
        if bounds.dead is not None:
            yield self._dead(trace.gradient_nonzero[:, columns], bounds.dead, names)

    def _dead(self, nonzero: Float64, allowed: float, names: tuple[str, ...]) -> Verdict:
        dead = _dead_share(nonzero)
        worst = int(np.argmax(np.where(np.isnan(dead), np.inf, dead)))
        about = f"of {names[worst]} never receive a gradient"
        share, tensor = float(dead[worst]), names[worst]
        return bounded(self.name, share, None, allowed, unit="%", about=about, tensor=tensor)

    def readings(self, facts: Facts) -> Mapping[Keys, Reading]:
        """The extremes of each quantity over all steps and all tensors of a pattern."""
        found: dict[Keys, Reading] = {}
        trace = facts.trace
        if trace is None or trace.steps == 0:
            return found
        for pattern, bounds in self.tensors.items():
            columns = matching(pattern, trace.tensors)
            norm, largest = trace.gradient_norm[:, columns], trace.gradient_largest[:, columns]
            found |= range_read((pattern, "norm"), norm, bounds.norm, least=0.0)
            found |= range_read((pattern, "largest"), largest, bounds.largest, least=0.0)
            if bounds.dead is not None and columns:
                share = float(_dead_share(trace.gradient_nonzero[:, columns]).max())
                found[pattern, "dead"] = Reading(value=share, high=bounds.dead, unit="%", least=0.0, most=1.0)
        return found


def _dead_share(nonzero: Float64) -> Float64:
    """Share of each tensor's elements without a gradient at its best step: zero now and then is not dead."""
    dead: Float64 = 1 - nonzero.max(axis=0)
    return dead


def in_range(
    check: str, quantity: str, values: Float64, allowed: tuple[float, float], names: tuple[str, ...]
) -> Verdict:
    """A (T, P) quantity held to one range; the verdict names the first step and tensor outside."""
    low, high = allowed
    bad = first_outside(values, low, high)
    if bad is None:
        message = f"{quantity} {show(float(values.min()), '')} to {show(float(values.max()), '')}"
        return Verdict(check=check, status=Status.PASS, expected=expected(low, high, ""), message=message)
    step, column = bad
    about = f"is the {quantity} of {names[column]} at step {step}"
    return bounded(
        check, float(values[step, column]), low, high, about=about, step=step, tensor=names[column]
    )

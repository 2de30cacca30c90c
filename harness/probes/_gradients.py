"""How far one set of gradients is from another, tensor by tensor, so that nothing is copied as a whole."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from harness.model import Array

Pair = tuple[Array | None, Array | None]
"""A gradient that was found and the one that was wanted; None where there is none, which is zero."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Sums over all elements: found^2, wanted^2, found x wanted, (found - wanted)^2."""

    found: float = 0.0
    wanted: float = 0.0
    product: float = 0.0
    apart: float = 0.0

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> "Overlap":
        """The sums over some tensors together."""
        return sum((cls._of(*pair) for pair in pairs), cls())

    def __add__(self, more: "Overlap") -> "Overlap":
        """Of both."""
        return Overlap(
            found=self.found + more.found,
            wanted=self.wanted + more.wanted,
            product=self.product + more.product,
            apart=self.apart + more.apart,
        )

    @property
    def ratio(self) -> float:
        """What was found, projected on what was wanted: 1 is right, 2 twice; NaN where nothing was wanted."""
        return _divide(self.product, self.wanted)

    @property
    def error(self) -> float:
        """L2 distance over the norm of what was wanted; NaN where nothing was."""
        return _divide(sqrt(self.apart) if self.apart >= 0 else nan, sqrt(self.wanted))

    @classmethod
    def _of(cls, found: Array | None, wanted: Array | None) -> "Overlap":
        one, other = _flat(found), _flat(wanted)
        difference = one - other
        return cls(
            found=_dot(one, one),
            wanted=_dot(other, other),
            product=_dot(one, other),
            apart=_dot(difference, difference),
        )


def norm(arrays: Iterable[Array | None]) -> float:
    """L2 norm of all tensors together."""
    return sqrt(sum(_dot(flat, flat) for flat in map(_flat, arrays)))


def _dot(one: Array, other: Array) -> float:
    # Not `@`: threads of NumPy's BLAS beside those of a framework cost more than they give.
    return float(np.einsum("i,i->", *np.broadcast_arrays(one, other)))


def _flat(values: Array | None) -> Array:
    # A single zero stands for a whole tensor of them.
    return np.zeros(1) if values is None else np.asarray(values, dtype=np.float64).reshape(-1)


def _divide(part: float, whole: float) -> float:
    return part / whole if whole else nan

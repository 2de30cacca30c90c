"""The gradient of a batch against the sum over its samples, split into length and direction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.diagnoses._evidence import by_name, number


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Ratio: projection on what it should be. aside: the part across it; error: distance; both relative."""

    ratio: float
    aside: float
    error: float
    tensor: str


def split(accumulation: Mapping[str, Any]) -> Split | None:
    """Of the accumulation probe's answer; None if that is missing or not finite."""
    ratio, error = number(accumulation, "ratio"), number(accumulation, "error")
    if not math.isfinite(ratio) or not math.isfinite(error):
        return None
    errors = {name: value for name, value in by_name(accumulation, "tensor_errors").items() if value >= 0}
    worst = max(errors, key=lambda name: errors[name], default="")
    aside = math.sqrt(max((error - abs(ratio - 1)) * (error + abs(ratio - 1)), 0.0))
    return Split(ratio=ratio, aside=aside, error=error, tensor=worst)

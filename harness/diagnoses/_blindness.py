"""How far training with constant inputs comes beside the real one."""

import math

from harness.diagnoses._evidence import found, number
from harness.model import Facts


def blind_and_seeing(facts: Facts) -> tuple[float, float]:
    """Loss at the end of blind and of seeing training; NaN, NaN if not asked or not above 0."""
    baseline = found(facts, "baseline")
    blind, seeing = number(baseline, "blind_loss"), number(baseline, "seeing_loss")
    return (blind, seeing) if blind > 0 and seeing > 0 else (math.nan, math.nan)

"""Updates are smaller than the spacing of the weights' numbers: they are rounded away."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import columns, finite, first, flowing, listed, middle, share, trace_of
from harness.model import Array, Diagnosis, Facts, Float64, Trace
from harness.units import show

CLEAR = 3e-4
"""Relative distance of an update from its rule that float32 does not explain."""
SPACINGS = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
"""Relative spacing of the formats' numbers."""
ROUNDED = 0.45
"""Root mean square of a weight's rounding error over that spacing, as measured on trainings."""


class UpdateBelowPrecision(Diagnostician):
    """The error of every update is one share of the weights, whatever the size of the update."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """That share tells the format; where most is lost, tensors that move at some steps only."""
        trace = trace_of(facts)
        if trace is None or not trace.tensors or not (trace.update_norm > 0).any():
            return None
        asked = np.isfinite(trace.update_ratio) & (trace.learning_rate > 0)[:, None] & flowing(trace)
        lost, off = asked & (trace.update_norm == 0), asked & (trace.update_error > CLEAR)
        part, dtype = _rounding(trace, off)
        flickers = lost.any(axis=0) & (asked & ~lost).any(axis=0)
        if not dtype and (flickers.mean() < 0.25 or lost.all(axis=1).any()):
            return None
        hit = off.any(axis=0) if dtype else flickers
        worst = int(np.argmax(np.where(hit, lost.mean(axis=0), -1)))
        how = f"rounded like {dtype}" if dtype else "rounded away at some steps"
        return Diagnosis(
            name=self.name,
            cause="updates are below the precision of the weights:"
            f" {show(share(lost, asked), '%')} of them change"
            f" nothing, those of {int(hit.sum())} of {len(hit)} tensors are {how}",
            remedy="Keep the weights in float32 (a master copy) and only compute in bfloat16 or float16",
            weight=0.95,
            step=first((lost | off).any(axis=1)),
            tensor=trace.tensors[worst],
            evidence=(
                f"tensors: {listed(columns(trace, hit))}",
                f"error of an update over the norm of its weights: median {show(part, '')}",
                (
                    f"{trace.tensors[worst]} stands still at"
                    f" {show(float(lost[:, worst].mean()), '%')} of the steps"
                ),
            ),
        )


def _rounding(trace: Trace, off: Array) -> tuple[float, str]:
    """Error of an update over the norm of its weights; and the format whose rounding that is, or nothing.

    Weight decay gone wrong leaves errors in proportion to the weights too, but not in all kinds of tensors.
    """
    measurable = off & (trace.update_error < 0.7) & (trace.update_ratio > 0.3)
    with np.errstate(all="ignore"):
        due = trace.update_norm / trace.update_ratio
        parts: Float64 = np.where(measurable, trace.update_error * due / trace.weight_norm, np.nan)
    known, part = finite(parts), middle(parts)
    alike = known.size >= 4 and float(np.quantile(known, 0.75)) < 2 * float(np.quantile(known, 0.25))
    near = (name for name, spacing in SPACINGS.items() if 0.5 < part / (ROUNDED * spacing) < 2)
    return part, next(near, "") if alike and off.any(axis=0).mean() >= 0.8 else ""

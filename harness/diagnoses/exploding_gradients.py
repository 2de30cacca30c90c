"""Gradients explode: they grow without end, or jump at one step."""

import numpy as np

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import finite, first, largest, middle, norms, trace_of
from harness.model import Diagnosis, Facts, Float64, Trace
from harness.units import show

SPIKE = 3.0
"""Gradient norm over the median of its neighbours."""
STRANGE = 4.0
"""Logarithm of that over the scatter of the neighbours' logarithms; healthy trainings stay below 3.2."""
GROWTH = 100.0
WARM_UP = 3
"""First steps, whose gradients are often larger than all that follow."""
LARGE = 1.0
"""Largest element above which clipping is advised."""


class ExplodingGradients(Diagnostician):
    """Judged by the norm of all gradients together; as a hint, by the largest element."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The first of: growth to the end, one jump, large elements that nothing clips."""
        trace = trace_of(facts)
        if trace is None:
            return None
        norm = norms(trace.gradient_norm)
        start, end = middle(norm[: max(1, len(norm) // 10)]), middle(norm[-max(1, len(norm) // 10) :])
        if len(norm) >= 4 and end > GROWTH * start > 0:
            words = f"norm grows from {show(start, '')} to {show(end, '')}"
            return self._named(trace, first(norm > GROWTH * start), words, 0.75)
        return self._jump(trace, norm) or self._hint(trace, norm)

    def _jump(self, trace: Trace, norm: Float64) -> Diagnosis | None:
        """One step far above its neighbours, beside what those scatter, or beside nearly all steps."""
        around, scatter = _neighbours(norm)
        known = np.isfinite(norm) & (around > 0)
        known[:WARM_UP] = False
        if not known.any():
            return None
        times = np.where(known, norm, 0) / np.where(known, around, 1)
        step = int(np.argmax(times))
        unlike = np.log(max(times[step], 1.0)) > STRANGE * (scatter[step] + 0.1)
        tall = times[step] > 2 * SPIKE and norm[step] > 1.5 * np.quantile(finite(norm), 0.9)
        if times[step] < SPIKE or not (unlike or tall):
            return None
        words = f"norm {show(norm[step], '')} at step {step}, {show(times[step], '')} x its neighbours"
        return self._named(trace, step, words, 0.78)

    def _hint(self, trace: Trace, norm: Float64) -> Diagnosis | None:
        peak, clipped = largest(trace.gradient_largest), (norms(trace.clipped_norm) < 0.999 * norm).any()
        if not peak > LARGE or clipped:
            return None
        step = first((trace.gradient_largest >= peak).any(axis=1))
        return self._named(
            trace, step, f"largest element {show(peak, '')} is above {show(LARGE, '')}, unclipped", 0.35
        )

    def _named(self, trace: Trace, step: int, what: str, weight: float) -> Diagnosis:
        row = np.nan_to_num(trace.gradient_norm[step])
        tensor = trace.tensors[int(np.argmax(row))] if len(row) else ""
        return Diagnosis(
            name=self.name,
            cause=f"gradients {'explode' if weight > 0.5 else 'are large'}: {what}",
            remedy="Clip the gradients (clip_norm: 1.0) or lower the learning rate",
            weight=weight,
            step=step,
            tensor=tensor,
            evidence=(
                f"largest element {show(largest(trace.gradient_largest), '')}",
                (
                    f"loss at that step {show(float(trace.loss[step]), '')}, median"
                    f" {show(middle(trace.loss), '')}"
                ),
            ),
        )


def _neighbours(norm: Float64) -> tuple[Float64, Float64]:
    """Median of up to ten norms on either side without the step itself, and the scatter of their logarithms.

    The scatter is the median absolute deviation, scaled to a standard deviation.
    """
    with np.errstate(all="ignore"):
        logs = np.log(norm)
    rest = [np.concatenate([logs[max(0, k - 10) : k], logs[k + 1 : k + 11]]) for k in range(len(norm))]
    centres = np.array([middle(each) for each in rest])
    scatter = [1.4826 * middle(np.abs(each - centre)) for each, centre in zip(rest, centres, strict=True)]
    return np.exp(centres), np.array(scatter)

"""Training goes uphill: updates or gradients have the wrong sign."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import CLEAR, first, found, middle, number, trace_of
from harness.model import Diagnosis, Facts
from harness.units import show


class WrongSign(Diagnostician):
    """The update, or the gradient against the reference's, points the other way."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The projection is negative; -1 when nothing but the sign is wrong."""
        trace = trace_of(facts)
        ratio = middle(trace.update_ratio) if trace else float("nan")
        forward = found(facts, "reference").get("forward_default")
        # Of unlike logits the gradients are unlike too, and say nothing about their sign.
        alike = number(forward, "logits") < 10 * CLEAR
        slope = number(forward, "gradient_ratio") if alike else float("nan")
        if not ratio < -0.1 and not slope < -0.1:
            return None
        what, rule, factor = (
            ("updates", "the optimizer's rule", ratio)
            if ratio < -0.1
            else ("gradients", "the reference's", slope)
        )
        told = []
        if trace is not None:
            told.append(f"loss {show(float(trace.loss[0]), '')} to {show(float(trace.loss[-1]), '')}")
        return Diagnosis(
            name=self.name,
            cause=f"wrong sign: {what} are {show(factor, '')} times {rule}, so training climbs the loss",
            remedy="Is the learning rate, the loss or the gradient negated (w + lr g in place of w - lr g)?",
            weight=0.97,
            step=first((trace.update_ratio < -0.1).any(axis=1)) if trace else None,
            evidence=tuple(told),
        )

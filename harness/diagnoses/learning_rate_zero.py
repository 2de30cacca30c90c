"""The learning rate is zero: nothing can move."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import first, largest, trace_of
from harness.model import Diagnosis, Facts
from harness.units import show


class LearningRateZero(Diagnostician):
    """The recorded learning rate is 0 at all steps, or at all but the first few."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A rate that reaches 0 at the very end is a schedule that ends there."""
        trace = trace_of(facts)
        if trace is None:
            return None
        zero = trace.learning_rate == 0
        number, steps = int(zero.sum()), trace.steps
        if number <= max(1, 0.5 * steps) and number < steps:
            return None
        step = first(zero)
        planned = largest(facts.problem.learning_rates if facts.problem else ())
        told = (f"the schedule's peak is {show(planned, '')}",) if planned > 0 else ()
        return Diagnosis(
            name=self.name,
            cause=f"learning rate is zero at {number} of {steps} steps, from step {step} on",
            remedy="Does the schedule start above 0, and is the configured learning rate the one"
            " that is used?",
            weight=0.98 if number == steps else 0.85,
            step=step,
            evidence=(*told, f"largest update norm {show(largest(trace.update_norm), '')}"),
        )

"""Weights do not move although they have gradients: updates are lost in the number format."""

import numpy as np

from harness.diagnoses._evidence import columns, flowing, found, listed, numbers
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, of_training, steps_of
from harness.model import Diagnosis, Facts


class UpdatesRoundedAway(ProgramDiagnostician):
    """Counts sampled elements with a gradient that did not change at the update."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """More than half of them, in the median tensor or in all of one."""
        told = found(facts, "training")
        idle, asked = numbers(told, "idle"), numbers(told, "asked")
        trace = facts.trace
        if trace is None or len(idle) != len(trace.tensors) or steps_of(facts) < ENOUGH:
            return None
        known = asked >= ENOUGH
        if (
            not known.any()
            or not (trace.learning_rate > 0).any()
            or of_training(facts, "cycle").get("erased")
        ):
            return None
        # What is zero in theory is rounding: no update, for good reason.
        stuck = known & (idle > 0.99) & flowing(trace)
        middle = float(np.median(idle[known]))
        if middle < 0.5 and not stuck.any():
            return None
        which = columns(trace, stuck) or columns(trace, known & (idle >= middle))
        every = bool(stuck[known].all())
        return self.finding(
            f"weights do not move although they have gradients: {listed(which)}"
            + ("" if every else f"; in the median tensor {middle:.0%} of the elements keep their bits"),
            "Is the learning rate of this group zero, or too small for the weights' number format (keep"
            " float32 weights)?"
            " Is step() called on the optimizer that holds them?",
            0.9 if middle > 0.5 else 0.8,
            tensor=which[0],
        )

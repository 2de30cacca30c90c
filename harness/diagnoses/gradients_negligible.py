"""Gradients are so small that they can move nothing."""

from harness.diagnoses._evidence import found, norms, trace_of
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, alone_in_program, of_training
from harness.model import Diagnosis, Facts

MOST = 1e-6
"""A gradient that was ever larger than this was worth something."""


class GradientsNegligible(ProgramDiagnostician):
    """Reads the norm of all gradients together."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Below 1e-9 at nearly every step, or most elements flushed to zero."""
        trace = trace_of(facts)
        if trace is None or trace.steps < ENOUGH or of_training(facts, "cycle").get("erased"):
            return None
        total = norms(trace.gradient_norm)
        tiny = float((total < 1e-9).mean())
        # A loss that was large once and is fitted now, or waits for its first reward, is another matter.
        if tiny < 0.8 or not total.max() < MOST or found(facts, "training").get("late"):
            return None
        return self.finding(
            f"gradients are negligible: their norm is below 1e-9 at {tiny:.0%} of the steps",
            "Does the loss depend on the weights? Is it squashed, scaled down, or computed in float16"
            " without scaling?",
            0.85 if alone_in_program(facts) or total.any() else 0.45,
            step=0,
        )

"""Held-out samples are trained on."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number
from harness.model import Diagnosis, Facts
from harness.units import show


class HeldOutInTraining(Diagnostician):
    """Samples of the held-out batch whose content occurs in training."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Any overlap makes the held-out loss too good."""
        overlap = number(found(facts, "ledger"), "held_out_overlap")
        if not overlap > 0:
            return None
        held_out, trace = facts.measurements.get("held_out_loss"), facts.trace
        told = [] if held_out is None else [f"held-out loss {show(held_out.value, '')}"]
        if trace is not None and trace.steps:
            told.append(f"last training loss {show(float(trace.loss[-1]), '')}")
        return Diagnosis(
            name=self.name,
            cause=f"held-out samples are in training: {show(overlap, '')} of them occur in both",
            remedy="Are the data split before they are shuffled, windowed and duplicated?",
            weight=0.95,
            evidence=tuple(told),
        )

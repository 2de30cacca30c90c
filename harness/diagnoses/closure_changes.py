"""A closure gives another loss at each evaluation: the search along a line compares what is not alike."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts

LEAST = 3
"""Updates."""


class ClosureChanges(ProgramDiagnostician):
    """Compares what models are given at the evaluations of one update."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Other inputs at nearly every update."""
        told = found(facts, "closures")
        several, changed = count(told, "several"), count(told, "changed")
        if several < LEAST or changed < 0.8 * several:
            return None
        return self.finding(
            f"the closure changes its question: in {changed:.0f} of {several:.0f} updates the model was given"
            " other inputs from one evaluation to the next",
            "Draw the batch before step(closure), and let the closure use that one: its losses are compared.",
            0.8,
        )

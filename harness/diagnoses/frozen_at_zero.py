"""Weights that began at zero are frozen: what they belong to does nothing, and never will."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ProgramDiagnostician, steps_of
from harness.model import Diagnosis, Facts


class FrozenAtZero(ProgramDiagnostician):
    """Looks for matrices of zeros among the frozen weights of models that train."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Any: an adapter begins so in order to learn."""
        zeros = names(found(facts, "parameters"), "frozen_zeros")
        if not zeros or steps_of(facts) < 2:
            return None
        return self.finding(
            f"{len(zeros)} matrices are zero throughout and frozen ({listed(zeros)}): what they multiply is"
            " lost, and no update changes that",
            "Freeze the base before adapters are added, or let them train again.",
            0.75,
            tensor=zeros[0],
        )

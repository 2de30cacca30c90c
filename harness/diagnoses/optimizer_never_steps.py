"""An optimizer is made, and never steps."""

from harness.diagnoses._evidence import found, names
from harness.diagnoses._program import ProgramDiagnostician, ended_by_itself
from harness.model import Diagnosis, Facts


class OptimizerNeverSteps(ProgramDiagnostician):
    """Reads which optimizers were made and which of them stepped."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """One whose parameters work and that no other optimizer trains."""
        idle = names(found(facts, "parameters"), "never_stepped")
        if not idle or not ended_by_itself(facts):
            return None
        return self.finding(
            f"{idle[0]} is never stepped: its parameters stay as they were made",
            "Call its step(), or leave its parameters to the optimizer that steps.",
            0.9,
        )

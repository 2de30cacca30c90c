"""The answer is among the inputs."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts


class AnswerAmongInputs(ProgramDiagnostician):
    """Correlates every column of the inputs with the target."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """One column follows the target exactly; a guess where it does so nearly."""
        told = found(facts, "batches")
        close, width = count(told, "answer_correlation"), count(told, "input_columns")
        if close < 0.9995 or width < 2 or count(told, "rows_compared") < 32:
            return None
        return self.finding(
            f"the answer is among the inputs: column {count(told, 'answer_column'):.0f} of {width:.0f}"
            " follows the"
            f" target with a correlation of {close:.6f}",
            "Leave out columns that are made from the target.",
            # A series that hardly moves from one step to the next comes as close by itself.
            0.85 if close > 1 - 1e-6 else 0.45,
        )

"""Dropout acts in evaluation mode."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, at, count
from harness.model import Diagnosis, Facts


class DropsInEvaluation(ProgramDiagnostician):
    """Reads calls of functional dropout while every module at work is in evaluation mode."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Any; a module that is left in training mode on purpose (Monte Carlo dropout) does not count."""
        told = found(facts, "modes")
        times = count(told, "dropped_in_evaluation")
        if not times:
            return None
        asked = found(facts, "batches")
        # Many draws for one input: the spread is what is wanted.
        redrawn = count(asked, "redrawn") > 0.5 * count(asked, "evaluations") > 0
        return self.finding(
            f"dropout acts in evaluation mode, {times:.0f} times{at(told.get('drop_place'))}",
            "Pass training=self.training to functional dropout, or use nn.Dropout.",
            0.4 if redrawn else 0.93,
        )

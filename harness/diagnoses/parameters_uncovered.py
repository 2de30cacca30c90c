"""Some trainable parameters get gradients, and no optimizer holds them."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ProgramDiagnostician, count, steps_of
from harness.model import Diagnosis, Facts


class ParametersUncovered(ProgramDiagnostician):
    """Compares parameters that received gradients with those that optimizers hold."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Fewer than are held: who trains a head alone leaves out more than that on purpose."""
        told = found(facts, "parameters")
        uncovered, held = names(told, "uncovered"), count(told, "held")
        if not uncovered or steps_of(facts) < 2 or not held:
            return None
        fewer = len(uncovered) < held
        return self.finding(
            f"{len(uncovered)} trainable tensors get gradients and no optimizer holds them:"
            f" {listed(uncovered)}",
            "Pass all of model.parameters() to the optimizer, after the model is complete; freeze what"
            " is not to train.",
            0.8 if fewer else 0.4,
            tensor=uncovered[0],
        )

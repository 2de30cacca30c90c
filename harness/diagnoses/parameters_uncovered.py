"""Some trainable parameters get gradients, and no optimizer holds them."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, steps_of
from harness.model import Diagnosis, Facts


class ParametersUncovered(ProgramDiagnostician):
    """Compares parameters that received gradients with those that optimizers hold."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Fewer than are held: who trains a head alone leaves out more than that on purpose."""
        told = found(facts, "parameters")
        uncovered, held = names(told, "uncovered"), count(told, "held")
        if not uncovered or steps_of(facts) < 2 or not held:
            return self._outside(facts)
        fewer = len(uncovered) < held
        return self.finding(
            f"{len(uncovered)} trainable tensors get gradients and no optimizer holds them:"
            f" {listed(uncovered)}",
            "Pass all of model.parameters() to the optimizer, after the model is complete; freeze what"
            " is not to train.",
            0.8 if fewer else 0.4,
            tensor=uncovered[0],
        )

    def _outside(self, facts: Facts) -> Diagnosis | None:
        """Parameters next to the model: of the loss, of a head that is called by itself, or of no module."""
        told = found(facts, "outside")
        uncovered = names(told, "uncovered")
        if not uncovered or steps_of(facts) < ENOUGH:
            return None
        meant = count(told, "meant") > 0 or len(uncovered) >= count(told, "held")
        return self.finding(
            f"the loss is made with {len(uncovered)} trainable tensors outside of the trained model that get"
            f" gradients, and no optimizer holds them: {listed(uncovered)}",
            "Pass the parameters of everything that is to learn to the optimizer, those of the loss too:"
            " [*model.parameters(), *criterion.parameters()]; freeze what is not to train.",
            0.4 if meant else 0.8,
            tensor=uncovered[0],
        )

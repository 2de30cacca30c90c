"""The optimizer holds tensors that the model no longer has."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ProgramDiagnostician, alone_in_program, several, steps_of
from harness.model import Diagnosis, Facts


class OptimizerHoldsOthers(ProgramDiagnostician):
    """Compares the optimizer's tensors with those of the models that were called."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Tensors that belong to no model that worked, and that no gradient ever reached."""
        told = found(facts, "parameters")
        number = found(facts, "training").get("number", -1)
        stale = several(told.get("stale"))
        if (
            not isinstance(number, int)
            or not 0 <= number < len(stale)
            or not stale[number]
            or steps_of(facts) < 2
        ):
            return None
        uncovered = names(told, "uncovered")
        instead = (
            f"; {listed(uncovered)} of the model, which gets gradients, it does not hold" if uncovered else ""
        )
        all_of_them = facts.trace is not None and stale[number] == len(facts.trace.tensors)
        return self.finding(
            f"the optimizer holds {stale[number]} tensors that are not the model's and never get a"
            f" gradient{instead}",
            "Make the optimizer after the last change of the model: a new head, a copy, a reset.",
            # Beside others that train, it may be a stand-in, or wait for its turn.
            0.95 if uncovered else 0.7 if all_of_them and alone_in_program(facts) else 0.45,
            tensor=uncovered[0] if uncovered else "",
        )

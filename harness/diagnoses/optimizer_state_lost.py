"""Training goes on from a checkpoint without the optimizer's state that is in it."""

from harness.diagnoses._evidence import found, numbers
from harness.diagnoses._program import ProgramDiagnostician
from harness.model import Diagnosis, Facts


class OptimizerStateLost(ProgramDiagnostician):
    """Compares optimizer states that were read with those that were used."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """One that was read, was not used, and updates followed."""
        left = [float(steps) for steps in numbers(found(facts, "checkpoints"), "unused_states") if steps >= 1]
        if not left:
            return None
        return self.finding(
            "the checkpoint that was read holds an optimizer's state, which no optimizer was given;"
            f" {left[0]:.0f} updates"
            " followed",
            "Call optimizer.load_state_dict too (and the scheduler's) when a training is resumed.",
            0.85,
        )

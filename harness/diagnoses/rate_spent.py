"""The learning rate reaches zero long before training ends."""

from harness.diagnoses._program import ProgramDiagnostician, count, of_training, step_at
from harness.model import Diagnosis, Facts


class RateSpent(ProgramDiagnostician):
    """Reads the learning rates at the updates."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Zero for the last quarter and more."""
        told = of_training(facts, "rates")
        updates, idle = count(told, "updates"), count(told, "idle_end")
        if updates < 10 or idle < 0.2 * updates or idle >= updates:
            return None
        return self.finding(
            f"the learning rate is zero from step {count(told, 'first_idle'):.0f} on: the last {idle:.0f} of"
            f" {updates:.0f} updates move nothing",
            "Does the scheduler advance more often than it was told (each micro-batch, each rank)?",
            0.93,
            step=step_at(told, "first_idle"),
        )

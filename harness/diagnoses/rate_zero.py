"""The learning rate is zero."""

from harness.diagnoses._program import ProgramDiagnostician, count, of_training
from harness.model import Diagnosis, Facts


class RateZero(ProgramDiagnostician):
    """Reads the learning rates at the updates."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """All of them, or those of one group of parameters."""
        told = of_training(facts, "rates")
        updates, zero = count(told, "updates"), count(told, "zero_groups")
        if updates < 2 or not zero:
            return None
        groups = count(told, "groups")
        what = (
            "the learning rate is zero"
            if zero == groups
            else f"the learning rate of {zero:.0f} of {groups:.0f} groups is zero"
        )
        return self.finding(
            f"{what} at all {updates:.0f} updates",
            "Which rate is meant for these parameters? Does a scheduler begin at zero and never advance?",
            0.95 if zero == groups else 0.75,
            step=0,
        )

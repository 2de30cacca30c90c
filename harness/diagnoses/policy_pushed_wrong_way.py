"""A policy makes actions less likely that turned out better than its critic expected."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts

LEAST = 10
"""Looks."""
CLEAR = 0.3
"""A correlation."""


class PolicyPushedWrongWay(ProgramDiagnostician):
    """Reads how the gradient of each action goes with the critic's error."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Together: descending, what was better than expected gets less likely."""
        told = found(facts, "policies")
        looked, together = count(told, "looked"), count(told, "together")
        if looked < LEAST or together < CLEAR or count(told, "against") < 0.8:
            return None
        return self.finding(
            "the policy is pushed the wrong way: actions that turned out better than the critic expected are"
            f" made less likely (correlation {together:.2f} in {looked:.0f} looks)",
            "The loss is -(log_prob * advantage), with advantage = return - value.",
            0.8,
        )

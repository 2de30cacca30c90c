"""A schedule is still warming up when training ends."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, ended_by_itself, of_training
from harness.model import Diagnosis, Facts

REACHED = 0.5
"""Of the rate that the schedule goes up to."""


class WarmUpNeverEnds(ProgramDiagnostician):
    """Compares the learning rates of the updates with the one that the schedule was given."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """It only ever rose, does so to the end, and stays far below."""
        told = of_training(facts, "rates")
        peak, aim, updates = (count(told, key) for key in ("peak", "aim", "updates"))
        if updates < ENOUGH or not 0 < peak < REACHED * aim or not ended_by_itself(facts):
            return None
        if count(told, "falls") or not count(told, "rises_late") or count(told, "different") < 3:
            return None
        return self.finding(
            f"the learning rate is still warming up at the end: it rose to {peak:.3g} in {updates:.0f}"
            f" updates, {peak / aim:.0%} of the {aim:.3g} that the schedule goes up to",
            "Is its length given in updates, and is it advanced once an epoch? Advance it at every update, or"
            " give it the number of epochs.",
            0.8,
        )

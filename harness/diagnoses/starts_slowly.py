"""Making the trainer takes far longer than its weights need."""

from harness.diagnoses import Diagnostician
from harness.model import Diagnosis, Facts
from harness.units import show

ALLOWED = 1.0
"""Seconds that anybody may take to start,"""
A_NUMBER = 200e-9
"""and for each number of the model: drawing one takes a tenth of it."""
FAR = 2.5
"""Times as long: no busy machine explains it."""


class StartsSlowly(Diagnostician):
    """Start-up grows with the model; what goes far beyond it is spent on something else (report 001: 5 s)."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A guess at first; sure where it takes several times as long as it may."""
        measured = facts.measurements.get("startup_time")
        if measured is None or facts.problem is None:
            return None
        due = ALLOWED + A_NUMBER * facts.problem.parameters
        if not measured.value > due:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"starts slowly: {show(measured.value, 's')} until ready to train, expected"
            f" {show(due, 's')} at most for {facts.problem.parameters:,} numbers",
            remedy="Are caches filled, files read or threads started that nobody has asked for yet?"
            " Make them when they are first used",
            weight=0.9 if measured.value > FAR * due else 0.45,
            evidence=(f"start-up takes {show(measured.value / due, 'x')} as long as it may",),
        )

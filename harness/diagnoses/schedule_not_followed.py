"""A scheduler does not do what it was made for."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, ended_by_itself, entries, steps_of
from harness.model import Diagnosis, Facts

CLOSE = 0.05
"""Periods; an update more or less is no other place in a cycle."""


class ScheduleNotFollowed(ProgramDiagnostician):
    """Reads how far schedulers advanced, and on which optimizer."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Never advanced, past its end and up again, or on an optimizer that does not step."""
        for one in entries(facts, "rates", "schedulers"):
            kind, advanced, period, updates = (
                one.get("kind"),
                count(one, "advanced"),
                count(one, "period"),
                count(one, "updates"),
            )
            if not one.get("attached") and ended_by_itself(facts) and steps_of(facts) >= ENOUGH:
                return self.finding(
                    f"{kind} acts on an optimizer that never steps",
                    "Make the scheduler for the optimizer that is stepped, after the last one is made.",
                    # Of a stand-in, made to look at a schedule, nothing works.
                    0.9 if one.get("working") else 0.45,
                )
            if advanced == 0 and updates >= 20 and ended_by_itself(facts):
                return self.finding(
                    f"{kind} never advances: the learning rate stays as it was at the first of"
                    f" {updates:.0f} updates",
                    "Call scheduler.step() once an update, or once an epoch as its period is meant.",
                    0.8,
                )
            if kind == "CosineAnnealingLR" and period and advanced > 1.5 * period:
                return self.finding(
                    f"{kind} ends after {period:.0f} and is advanced {advanced:.0f} times: the learning"
                    " rate rises again",
                    "Is its period given in epochs and advanced at every batch?"
                    " CosineAnnealingWarmRestarts restarts on"
                    " purpose.",
                    0.75 if _in_passes(facts, period) or not _ends_low(advanced / period) else 0.45,
                )
        return None


def _in_passes(facts: Facts, period: float) -> bool:
    """Whether the period is the number of passes through some data: it is advanced at every batch."""
    loaders = entries(facts, "loaders", "loaders")
    return any(count(one, "passes") == period and count(one, "length") > 1 for one in loaders)


def _ends_low(periods: float) -> bool:
    """Whether a rate that goes down and up again ends where it is lowest: whole cycles, as they are meant."""
    return abs(periods - round(periods)) < CLOSE and round(periods) % 2 == 1

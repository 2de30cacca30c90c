"""A training goes on from a checkpoint, and its schedule begins again at the first step."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, entries
from harness.model import Diagnosis, Facts

ANEW = (
    "ExponentialLR", "MultiplicativeLR", "ConstantLR", "ReduceLROnPlateau", "CyclicLR",
    "CosineAnnealingWarmRestarts",
)  # fmt: skip
"""Schedules that are the same wherever they begin, follow a metric, or are meant to begin again."""
SPENT = 1e-3
"""Of the first rate: a schedule that came down so far was at its end."""


class ScheduleBeginsAgain(ProgramDiagnostician):
    """Compares schedules before and after an optimizer was given a state with updates in it."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The optimizer goes on, no scheduler of it got a state, and the rate is that of the beginning."""
        told = found(facts, "resumes")
        for one in entries(facts, "resumes", "resumes"):
            if one.get("given") or count(one, "updates") < ENOUGH or one.get("kind") in ANEW:
                continue
            rate, highest = count(one, "rate"), count(one, "highest")
            if rate <= SPENT * max(highest, count(one, "initial")):
                continue
            weight = _weight(one, counted=bool(told.get("counted")))
            if weight:
                what = one.get("kind") or "the schedule"
                moved = f"; the rate goes from {rate:.3g} to {rate * count(one, 'jumped'):.3g}"
                return self.finding(
                    f"the optimizer goes on from a saved state{at(one.get('where'))}, and {what} begins"
                    f" again at its first step{at(one.get('made'))}" + (moved if _jumps(one) else ""),
                    "Save the scheduler's state_dict with the optimizer's, and load both; or give the"
                    " schedule the step that the training is at.",
                    weight,
                )
        return None


def _weight(one: Mapping[str, Any], *, counted: bool) -> float:
    """How sure it is: proof is a first part of the training that was seen, with the same schedule."""
    jumps = _jumps(one)
    if not count(one, "schedules"):
        return 0.45 if count(one, "repeated") else 0.0
    if count(one, "earlier"):
        return 0.85 if jumps or one.get("kind") != "LambdaLR" else 0.0
    if count(one, "others") or not jumps or not one.get("same_base"):
        return 0.0
    return 0.45 if counted else 0.4


def _jumps(one: Mapping[str, Any]) -> bool:
    jumped = count(one, "jumped")
    return jumped > 1.3 or 0 < jumped < 0.5

"""A copy of the model that should follow it never changes."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._evidence import found, names
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

FOLLOWERS = ("target", "tgt", "ema", "average", "avg", "shadow", "slow", "polyak", "momentum", "mean", "swa")
"""Words for models that are to follow another one."""


class CopyNeverFollows(ProgramDiagnostician):
    """Compares models that no optimizer holds with those that train."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """It began equal to the trained one, is called without gradients, and never changes."""
        updates = count(found(facts, "program"), "updates")
        for model in entries(facts, "copies", "models"):
            if not model.get("alike") or model.get("changed") or not model.get("trained_moved"):
                continue
            if model.get("equal_at_last"):
                continue  # a copy of what was trained, made at the end
            if not count(model, "quiet") or not model.get("equal_at_first") or updates < 20:
                continue
            return self.finding(
                f"a second {model['model']} began with the trained one's weights, is called"
                f" {count(model, 'quiet'):.0f}"
                " times without gradients, and never changes",
                "Is it an average or a target that should follow? Update it at every step or every few"
                " steps.",
                # One that is called a reference, a teacher or the old one stands still rightly.
                0.7 if _meant_to_follow(model, updates) else 0.45,
            )
        return None


def _meant_to_follow(model: Mapping[str, Any], updates: float) -> bool:
    """Whether its name says so, or it is evaluated in the trained one's place."""
    told = " ".join(names(model, "names"))
    return any(word in told for word in FOLLOWERS) or (
        not model.get("trained_quiet") and count(model, "quiet") < 0.5 * updates
    )

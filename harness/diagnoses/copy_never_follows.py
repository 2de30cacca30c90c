"""A copy of the model that should follow it never changes."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class CopyNeverFollows(ProgramDiagnostician):
    """Compares models that no optimizer holds with those that train."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """It began equal to the trained one, is called without gradients, and never changes."""
        for model in entries(facts, "copies", "models"):
            if not model.get("alike") or model.get("changed") or not model.get("trained_moved"):
                continue
            if model.get("equal_at_last"):
                continue  # a copy of what was trained, made at the end
            if (
                not count(model, "quiet")
                or not model.get("equal_at_first")
                or count(found(facts, "program"), "updates") < 20
            ):
                continue
            return self.finding(
                f"a second {model['model']} began with the trained one's weights, is called"
                f" {count(model, 'quiet'):.0f}"
                " times without gradients, and never changes",
                "Is it an average or a target that should follow? Update it at every step or every few"
                " steps.",
                0.7,
            )
        return None

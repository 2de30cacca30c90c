"""What is evaluated is another model than the one that was trained."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries, steps_of
from harness.model import Diagnosis, Facts


class EvaluatesUntrainedModel(ProgramDiagnostician):
    """Compares models that are called without gradients with those that train."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Of the trained one's form, never loaded, never changed, with weights of its own."""
        for model in entries(facts, "copies", "models"):
            if not model.get("alike") or model.get("changed") or not model.get("trained_moved"):
                continue
            if (
                model.get("equal_at_first")
                or model.get("equal_at_last")
                or model.get("loaded")
                or model.get("trained_quiet")  # it is evaluated too: the other one is its baseline
                or count(model, "likeness") > 0.3
            ):
                continue
            late = count(model, "first_step") > 0.5 * steps_of(facts)
            if count(model, "quiet") and not count(model, "with_gradients") and late:
                return self.finding(
                    f"the {model['model']} that is evaluated is not the one that was trained: it has"
                    " other weights, and"
                    " nothing was loaded into it",
                    "Evaluate the trained model, or load its weights first.",
                    0.75,
                )
        return None

"""The model is evaluated in training mode: dropout and batch statistics are on."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class EvaluatesInTrainingMode(ProgramDiagnostician):
    """Reads the mode of calls without gradients whose loss is taken."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Never in evaluation mode, several times in training mode."""
        for modes in entries(facts, "modes", "models"):
            scored, quiet, right = (
                count(modes, key) for key in ("quiet_train_scored", "quiet_train", "quiet_eval")
            )
            layers = count(modes, "dropping") + count(modes, "normalizing")
            if not layers or right or quiet < 2:
                continue
            return self.finding(
                f"{modes['model']} is evaluated in training mode, {quiet:.0f} times: its {layers:.0f}"
                " dropout and"
                " normalization layers act as in training",
                "Call model.eval() before evaluating, and model.train() after it.",
                0.8 if scored >= 2 else 0.45,
            )
        return None

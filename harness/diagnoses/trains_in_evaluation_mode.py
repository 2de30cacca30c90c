"""The model trains in evaluation mode: dropout and batch statistics are off."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, entries, step_at
from harness.model import Diagnosis, Facts


class TrainsInEvaluationMode(ProgramDiagnostician):
    """Reads the mode of the calls that led to updates."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Most updates, of a model with layers that know the difference."""
        for modes in entries(facts, "modes", "models"):
            off, on = count(modes, "eval_steps"), count(modes, "train_steps")
            layers = count(modes, "quieted")
            if off + on < ENOUGH or off < 0.3 * (off + on) or not layers:
                continue
            return self.finding(
                f"{modes['model']} trains in evaluation mode: {off:.0f} of {off + on:.0f} updates,"
                " first at step"
                f" {modes.get('first_eval_step')}; its {layers:.0f} dropout and normalization layers do"
                " nothing",
                "Call model.train() before training, and again after every evaluation.",
                0.93,
                step=step_at(modes, "first_eval_step"),
            )
        return None

"""Evaluating between steps changes the training."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number, truth
from harness.model import Diagnosis, Facts


class EvaluationChangesTraining(Diagnostician):
    """It moves weights, leaves evaluation mode on, or changes the losses that follow."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Says which of the three; the first explains the others."""
        evaluation = found(facts, "evaluation")
        before, after = truth(evaluation, "mode_before"), truth(evaluation, "mode_after")
        moved = number(evaluation, "changed_weights") > 0
        left = before is not None and after is not None and before != after
        left = left or (
            truth(evaluation, "training_flag") is True and truth(evaluation, "flag_after_evaluation") is False
        )
        if not moved and not left and not number(evaluation, "changed_training") > 0:
            return None
        how, remedy = (
            ("it moves the weights", "Does evaluation run backward, an optimizer step or running statistics?")
            if moved
            else ("it leaves evaluation mode on", "Is model.train() called again after every evaluation?")
            if left
            else (
                "later losses differ",
                "Does evaluation use up random numbers, data or buffers of the training?",
            )
        )
        return Diagnosis(
            name=self.name,
            cause=f"evaluation changes the training: {how}",
            remedy=remedy,
            weight=0.98 if moved else 0.97 if left else 0.93,
            evidence=(
                f"training flag {before} before an evaluation, {after} after",
                (
                    f"weights changed: {'yes' if moved else 'no'}; later losses changed:"
                    f" {'yes' if number(evaluation, 'changed_training') > 0 else 'no'}"
                ),
            ),
        )

"""Evaluation is random: dropout is active in it."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number
from harness.model import Diagnosis, Facts
from harness.units import show

ROUNDING = 1e-6


class DropoutInEvaluation(Diagnostician):
    """The same evaluation twice gives two losses."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Scatter of inference alone, and weights that evaluation moves, are other causes."""
        evaluation = found(facts, "evaluation")
        loss, logits = number(evaluation, "loss_repeat"), number(evaluation, "inference_repeat")
        either = number(evaluation, "repeat_difference")
        scattered = loss if loss >= 0 else either
        if not scattered > ROUNDING:
            return None
        moved = number(evaluation, "changed_weights") > 0
        return Diagnosis(
            name=self.name,
            cause="dropout is active in evaluation: the same evaluation twice differs by"
            f" {show(scattered, '%')}",
            remedy="Does evaluation call eval(), and does every dropout obey it (F.dropout(...,"
            " training=...))?",
            weight=0.6 if moved else 0.98,
            evidence=(
                f"loss {show(loss, '%')}, logits {show(logits, '')} standard deviations apart",
                f"configured dropout {show(number(evaluation, 'dropout'), '')}",
            ),
        )

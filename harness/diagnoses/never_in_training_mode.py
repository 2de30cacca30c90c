"""Training runs in evaluation mode: dropout never acts."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number, truth
from harness.model import Diagnosis, Facts
from harness.units import show


class NeverInTrainingMode(Diagnostician):
    """The training flag is off during steps that nothing came before."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A flag that an evaluation left off is another cause."""
        evaluation = found(facts, "evaluation")
        if truth(evaluation, "training_flag") is not False:
            return None
        apart = number(evaluation, "train_eval_difference")
        return Diagnosis(
            name=self.name,
            cause="never in training mode: the training flag is off during the steps, and the"
            " loss differs from"
            f" evaluation's by {show(apart, '%')}",
            remedy="Is model.train() called before the first step?",
            weight=0.97,
            step=0,
            evidence=(f"configured dropout {show(number(evaluation, 'dropout'), '')}",),
        )

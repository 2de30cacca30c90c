"""The logits of inference do not come from the trained weights."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import CLEAR, found, number, truth
from harness.model import Diagnosis, Facts
from harness.units import show

UNRELATED = 0.3
"""Standard deviations of the logits, at trained and at drawn weights: no small error of one layer."""


class LogitsUnrelatedToWeights(Diagnostician):
    """Inference and the training's forward pass disagree at equal weights."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Random where it does not repeat itself; stale or another model's where it does."""
        generation, evaluation = found(facts, "generation"), found(facts, "evaluation")
        apart = number(generation, "inference_difference")
        scatter = number(evaluation, "inference_repeat")
        if not apart > CLEAR:
            return None
        random = scatter > CLEAR or truth(generation, "repeatable") is False
        far = apart > UNRELATED or random
        how = "random" if random else "unrelated to the weights" if far else "not those of training"
        return Diagnosis(
            name=self.name,
            cause=f"logits of inference are {how}: {show(apart, '')} standard deviations from the"
            " training's forward"
            " pass at the same weights",
            remedy="Does inference load the checkpoint and run the same forward pass as training?",
            weight=0.965 if far else 0.88,
            evidence=(
                f"the same inference twice: {show(scatter, '')} standard deviations apart",
                (
                    f"at trained weights {show(number(generation, 'difference_trained'), '')}, at drawn ones"
                    f" {show(number(generation, 'difference_drawn'), '')}"
                ),
                (
                    f"different tokens generated: {show(number(generation, 'distinct'), '')}"
                    f" of {show(number(generation, 'tokens'), '')}"
                ),
            ),
        )

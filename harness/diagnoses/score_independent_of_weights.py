"""The score does not depend on the weights: a lookup table answers."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._answers import answers_in_inputs
from harness.diagnoses._evidence import found, number
from harness.model import Diagnosis, Facts
from harness.units import show

BETTER = 0.05
"""By how much a score must beat chance to tell anything."""


class ScoreIndependentOfWeights(Diagnostician):
    """Weights in random order score nearly as well as trained ones, and far above chance."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A model that learned nothing scores at chance; answers in the inputs help any weights."""
        score = found(facts, "score")
        trained, randomised, chance = (number(score, key) for key in ("trained", "randomised", "chance"))
        gain = trained - chance
        if not gain > BETTER or not randomised - chance > 0.6 * gain:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"score does not depend on the weights: {show(randomised, '%')} with weights in"
            " random order,"
            f" {show(trained, '%')} with trained ones",
            remedy="Does evaluation look answers up in the data in place of running the model?",
            weight=0.8 if answers_in_inputs(facts) else 0.97,
            evidence=(f"chance, the commonest target: {show(chance, '%')}",),
        )

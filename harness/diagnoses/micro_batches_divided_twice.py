"""The loss of a micro-batch is divided by their number twice."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, main_site, of_training
from harness.model import Diagnosis, Facts


class MicroBatchesDividedTwice(ProgramDiagnostician):
    """Compares what is backpropagated with what the loss function gave."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A mean, always divided by the square of the number of backward passes an update."""
        site, story = main_site(facts), of_training(facts, "cycle")
        each, multiple = count(story, "backwards_per_step"), count(site, "multiple")
        if count(story, "steps") < ENOUGH or each < 2 or not site.get("whole"):
            return None
        if site.get("reduction") != "mean" or abs(multiple * each * each - 1) > 1e-3:
            return None
        return self.finding(
            f"micro-batches are divided twice: of each loss{at(site.get('where'))} 1/{each * each:.0f} is"
            f" backpropagated, and an update has {each:.0f} of them: gradients are {each:.0f} times too"
            " small",
            "Divide once: Accelerate, Lightning and DeepSpeed do it themselves.",
            # A factor of a quarter may be a weight that was chosen.
            0.85 if each > 2 else 0.45,
        )

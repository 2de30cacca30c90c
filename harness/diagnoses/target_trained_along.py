"""The target of the loss is trained along with what is held to it."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, training_sites
from harness.model import Diagnosis, Facts


class TargetTrainedAlong(ProgramDiagnostician):
    """Follows prediction and target of a loss back to the parameters that made them."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Two models, both held by optimizers: a teacher that comes to meet its student."""
        told = found(facts, "losses")
        for site in training_sites(facts):
            looked, apart = count(site, "looked"), count(site, "target_apart")
            if looked >= ENOUGH and apart > 0.8 * looked:
                return self.finding(
                    f"the target of {site['kind']}{at(site.get('where'))} is trained along: gradients"
                    " flow into"
                    f" {site.get('target_parameter') or 'another model'}, which makes it and which an"
                    " optimizer holds",
                    "Compute the target under torch.no_grad(), and leave its model out of the optimizer.",
                    # Two that learn from each other, or are drawn together, are so on purpose.
                    0.65 if told.get("target_teaches") and not told.get("target_learns") else 0.45,
                )
        return None

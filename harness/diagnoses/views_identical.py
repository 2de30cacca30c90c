"""Two views that a contrastive loss compares are one and the same."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, main_site
from harness.model import Diagnosis, Facts


class ViewsIdentical(ProgramDiagnostician):
    """Compares the outputs that a model gives for one loss."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Equal to the bit at nearly every step, where each sample is a class of its own."""
        told, site = found(facts, "batches"), main_site(facts)
        doubled, backwards = count(told, "doubled"), count(told, "backwards")
        contrastive = count(site, "looked") and count(site, "distinct") == count(site, "looked")
        if doubled < ENOUGH or doubled < 0.9 * backwards or not contrastive:
            return None
        return self.finding(
            f"both views of a sample are the same: {doubled:.0f} times the model gave, for one loss, the same"
            " outputs twice",
            "Draw each view anew: [augment(x), augment(x)], not [augment(x)] * 2.",
            0.8,
        )

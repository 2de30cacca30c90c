"""Two views that a contrastive loss compares are one and the same."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, training_sites
from harness.model import Diagnosis, Facts


class ViewsIdentical(ProgramDiagnostician):
    """Compares the outputs that a model gives for one loss."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Equal to the bit at nearly every step, where each sample is a class of its own."""
        doubled = count(found(facts, "batches"), "doubled")
        # What is trained besides, a probe of what was learned, has backward passes of its own.
        passes = min(
            (count(site, "calls") for site in training_sites(facts) if _contrasts(site)), default=0.0
        )
        if doubled < ENOUGH or not passes or doubled < 0.9 * passes:
            return None
        return self.finding(
            f"both views of a sample are the same: {doubled:.0f} times the model gave, for one loss, the same"
            " outputs twice",
            "Draw each view anew: [augment(x), augment(x)], not [augment(x)] * 2.",
            0.8,
        )


def _contrasts(site: Mapping[str, Any]) -> bool:
    """Whether each sample is a class of its own."""
    return 0 < count(site, "looked") == count(site, "distinct")

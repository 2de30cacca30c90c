"""The weights of classes make up for nothing: the commoner a class, the more it counts."""

from harness.diagnoses._program import ProgramDiagnostician, at, count, training_sites
from harness.model import Diagnosis, Facts

CLEAR = 0.9
"""Correlation of the logarithms of weights and counts."""


class WeightsFavourCommon(ProgramDiagnostician):
    """Compares the weights that a loss function is given with how often each class comes."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """In proportion to them, where the inverse was meant; other weights are somebody's choice."""
        for site in training_sites(facts):
            slope, fit = count(site, "weight_slope"), count(site, "weight_fit")
            if fit > CLEAR and slope > 0.25:
                return self.finding(
                    f"the weights of classes favour the common ones{at(site.get('where'))}: the commonest"
                    f" ({count(site, 'share_common'):.1%} of the targets) weighs"
                    f" {count(site, 'weight_common'):.3g}, the rarest ({count(site, 'share_rare'):.1%})"
                    f" {count(site, 'weight_rare'):.3g}",
                    "Weigh by the inverse of the frequency; pos_weight is negatives over positives.",
                    0.8 if 0.4 < slope < 1.6 else 0.45,
                )
        return None

"""Samples come sorted by class, each batch of one class."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, training_sites
from harness.model import Diagnosis, Facts


class ClassesComeSorted(ProgramDiagnostician):
    """Counts batches whose targets are all alike."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Most batches, although there are several classes."""
        for site in training_sites(facts):
            looked, single = count(site, "looked"), count(site, "single_class")
            if looked < ENOUGH or single < 0.6 * looked or count(site, "present_classes") < 2:
                continue
            return self.finding(
                f"samples come sorted: {single:.0f} of {looked:.0f} batches hold one class only, of"
                f" {count(site, 'present_classes'):.0f}{at(site.get('where'))}",
                "Shuffle the training data.",
                0.85,
            )
        return None

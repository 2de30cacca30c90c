"""Samples come sorted by class, each batch of one class."""

from collections.abc import Mapping
from typing import Any

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
            if _expected(site) > 0.3:  # nearly all samples are of one class: so are most batches
                continue
            return self.finding(
                f"samples come sorted: {single:.0f} of {looked:.0f} batches hold one class only, of"
                f" {count(site, 'present_classes'):.0f}{at(site.get('where'))}",
                "Shuffle the training data.",
                # Two sources, or tasks, may take turns; classes that are sorted come in long runs.
                0.85 if count(site, "class_turns") <= 0.5 * count(site, "single_pairs") else 0.45,
            )
        return None


def _expected(site: Mapping[str, Any]) -> float:
    """The share of batches of one class that chance gives: those of the most frequent one."""
    size = count(site, "single_targets") / max(1.0, count(site, "single_class"))
    return float(min(1.0, max(0.0, count(site, "largest_share"))) ** min(size, 1e6))

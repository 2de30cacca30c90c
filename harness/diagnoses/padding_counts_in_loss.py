"""What looks like padding counts in the loss."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, at, count, training_sites
from harness.model import Diagnosis, Facts


class PaddingCountsInLoss(ProgramDiagnostician):
    """Looks for a token that stands only at the ends of rows, in runs of different lengths."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """In nearly every batch."""
        for site in training_sites(facts):
            looked, padded = count(site, "padded_looked"), count(site, "padded")
            if looked < ENOUGH or padded < 0.9 * looked:
                continue
            return self.finding(
                f"padding counts in the loss{at(site.get('where'))}: token"
                f" {count(site, 'padding_token'):.0f} stands only at the"
                f" ends of rows, and makes {count(site, 'padding_share'):.0%} of the targets",
                "Pass ignore_index, or set those targets to -100.",
                # Rows that are sorted, or end in one state, look the same; inputs tell them apart.
                0.75 if count(site, "padded_inputs") > 0.8 * padded else 0.45,
            )
        return None

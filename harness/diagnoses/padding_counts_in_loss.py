"""What looks like padding counts in the loss."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import (
    ENOUGH,
    ProgramDiagnostician,
    at,
    count,
    several,
    training_sites,
)
from harness.model import Diagnosis, Facts

REMEDY = "Pass ignore_index, or set those targets to -100."
LITTLE = 0.02
"""Of all targets: less hardly matters."""


class PaddingCountsInLoss(ProgramDiagnostician):
    """Looks at targets where a mask marks padding, and for a token that stands only at the ends of rows."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """In nearly every batch."""
        return self._masked(facts) or self._trailing(facts)

    def _masked(self, facts: Facts) -> Diagnosis | None:
        """The model is told to leave these places out, and the loss is not."""
        told = found(facts, "fillings")
        looked, counted, values = count(told, "looked"), count(told, "counted"), several(told.get("values"))
        values = [each for each in values if isinstance(each, int | float)]
        if looked < ENOUGH or counted < 0.9 * looked or count(told, "share") < LITTLE or len(values) != 1:
            return None
        return self.finding(
            f"padding counts in the loss{at(told.get('where'))}: {count(told, 'share'):.0%} of its targets"
            f" stand where the mask that the model is given marks padding, and all of these are"
            f" {values[0]:.4g}",
            REMEDY + " Of numbers, take the mean over the places that the mask leaves.",
            0.85,
        )

    def _trailing(self, facts: Facts) -> Diagnosis | None:
        for site in training_sites(facts):
            looked, padded = count(site, "padded_looked"), count(site, "padded")
            if looked < ENOUGH or padded < 0.9 * looked:
                continue
            return self.finding(
                f"padding counts in the loss{at(site.get('where'))}: token"
                f" {count(site, 'padding_token'):.0f} stands only at the"
                f" ends of rows, and makes {count(site, 'padding_share'):.0%} of the targets",
                REMEDY,
                # Rows that are sorted, or end in one state, look the same; inputs tell them apart.
                0.75 if count(site, "padded_inputs") > 0.8 * padded else 0.45,
            )
        return None

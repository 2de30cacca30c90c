"""Samples are seen more than once in an epoch."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number
from harness.model import Diagnosis, Facts
from harness.units import show


class DuplicatedSamples(Diagnostician):
    """Ids that come again before the epoch is over."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A whole batch again has a name of its own, and outranks it."""
        ledger = found(facts, "ledger")
        again = number(ledger, "duplicates")
        if not again > 0:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"samples are duplicated: {show(again, '')} of"
            f" {show(number(ledger, 'samples'), '')} were already"
            " seen in the same epoch",
            remedy="Is the data set split between workers and ranks, each sample to one of them?",
            weight=0.94,
            evidence=(
                f"epochs {show(number(ledger, 'epochs'), '')}",
                f"share of the data that was seen: {show(number(ledger, 'coverage'), '%')}",
            ),
        )

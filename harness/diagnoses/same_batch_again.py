"""The same batch is trained on again and again."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number
from harness.model import Diagnosis, Facts
from harness.units import show


class SameBatchAgain(Diagnostician):
    """Batches whose content occurred before, within one epoch."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A few repeats may be duplicates in the data; most of them are the loader's."""
        ledger = found(facts, "ledger")
        repeated = number(ledger, "repeated_batches")
        if not repeated > 0.02:
            return None
        return Diagnosis(
            name=self.name,
            cause=f"the same batch comes again: {show(repeated, '%')} of the steps repeat an earlier one",
            remedy="Is the iterator made once, outside the loop (not next(iter(loader)) in every step)?",
            weight=0.97 if repeated > 0.3 else 0.9,
            evidence=(
                f"duplicated samples: {show(number(ledger, 'duplicates'), '')}",
                f"share of the data that was seen: {show(number(ledger, 'coverage'), '%')}",
            ),
        )

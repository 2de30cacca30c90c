"""Every epoch has the same order of samples."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number, truth
from harness.model import Diagnosis, Facts
from harness.units import show


class NeverReshuffled(Diagnostician):
    """Epochs in the order of the one before."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Silent where no second epoch could tell."""
        ledger = found(facts, "ledger")
        same, epochs = number(ledger, "same_order"), number(ledger, "epochs")
        if not same > 0 or truth(ledger, "reshuffled"):
            return None
        return Diagnosis(
            name=self.name,
            cause=f"never reshuffled: {show(same, '')} of {show(epochs, '')} epochs repeat the"
            " order of the one before",
            remedy="Is shuffling on, and does the sampler learn of every epoch (set_epoch)?",
            weight=0.92,
            evidence=(f"samples {show(number(ledger, 'samples'), '')}",),
        )

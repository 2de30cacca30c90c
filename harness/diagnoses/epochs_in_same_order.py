"""Every epoch comes in the same order although it should be shuffled."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class EpochsInSameOrder(ProgramDiagnostician):
    """Compares the order of batches from pass to pass."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A sampler that shuffles, and passes that are equal to the bit."""
        alike = count(found(facts, "batches"), "samples")
        for loader in entries(facts, "loaders", "loaders"):
            passes, different = count(loader, "orders"), count(loader, "different_orders")
            shuffles = loader.get("shuffles") and alike != 1
            if not shuffles or passes < 3 or different > 1:
                continue
            # Data that are only evaluated on may come in any order.
            if count(loader, "length") < 2 or not count(loader, "trained"):
                continue
            return self.finding(
                f"all {passes:.0f} passes through the data come in the same order, from a sampler that"
                " shuffles"
                f" ({loader.get('sampler')})",
                "Call sampler.set_epoch(epoch) before each epoch; do not seed the generator anew.",
                0.85,
            )
        return None

"""The ranks of a distributed training do not divide the data among them."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number
from harness.model import Diagnosis, Facts
from harness.units import show


class RanksSeeSameData(Diagnostician):
    """Samples that several ranks took, and as a rule others that none took."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """It changes gradients too, and outranks what is said of those."""
        replicas = found(facts, "replicas")
        shared, left_out = number(replicas, "shared"), number(replicas, "left_out")
        if not shared > 0:
            return None
        step = number(replicas, "unsharded_from")
        return Diagnosis(
            name=self.name,
            cause=f"ranks see the same data: of {show(number(replicas, 'samples'), '')} samples"
            f" {show(shared, '')} were taken by more than one rank, {show(left_out, '')} by none",
            remedy="Does each rank take its own part (DistributedSampler with its rank, set_epoch)?",
            weight=0.975,
            step=int(step) if step >= 0 else None,
            evidence=(f"ranks {show(number(replicas, 'ranks'), '')}",),
        )

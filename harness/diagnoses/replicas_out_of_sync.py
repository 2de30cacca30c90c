"""The ranks of a distributed training no longer hold the same weights."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number
from harness.model import Diagnosis, Facts
from harness.units import show


class ReplicasOutOfSync(Diagnostician):
    """The weights of two ranks differ after a step."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """From the step at which they part."""
        replicas = found(facts, "replicas")
        step, apart = number(replicas, "apart_from"), number(replicas, "distance")
        if not (step >= 0 and apart != 0):
            return None
        return Diagnosis(
            name=self.name,
            cause=f"ranks are out of sync: their weights part after step {step:.0f},"
            f" up to {show(apart, '%')}",
            remedy="Are gradients averaged over the ranks at every step (`no_sync` left on, a forward pass"
            " beside the wrapper, an update in one rank alone)?",
            weight=0.97,
            step=int(step),
            evidence=(f"ranks {show(number(replicas, 'ranks'), '')}",),
        )

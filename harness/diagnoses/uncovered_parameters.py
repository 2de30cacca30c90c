"""The optimizer does not hold all trainable parameters."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import count, found, listed, names
from harness.model import Diagnosis, Facts
from harness.units import show


class UncoveredParameters(Diagnostician):
    """The coverage probe found trainable tensors outside the optimizer's groups."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """All of them missing: it holds copies, or parameters of another model."""
        coverage = found(facts, "coverage")
        missing = names(coverage, "missing")
        if not missing:
            return None
        held = count(coverage, "optimized")
        total = f" of {len(missing) + int(held)}" if held >= 0 else ""
        return Diagnosis(
            name=self.name,
            cause=f"optimizer does not hold {len(missing)}{total} trainable tensors, first {missing[0]}",
            remedy="Was the optimizer made before the model was replaced, copied, wrapped or extended?"
            if held == 0
            else "Was a layer added, replaced or unfrozen after the optimizer was made?",
            weight=0.98,
            tensor=missing[0],
            evidence=(f"missing: {listed(missing)}", f"held by the optimizer: {show(held, '')}"),
        )

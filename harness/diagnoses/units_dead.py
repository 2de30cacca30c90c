"""Rectifiers give nothing but zero."""

from harness.diagnoses._evidence import by_name, listed
from harness.diagnoses._program import ProgramDiagnostician, entries
from harness.model import Diagnosis, Facts


class UnitsDead(ProgramDiagnostician):
    """Reads the outputs of rectifiers for the last batch."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Every unit of a layer."""
        for asked in entries(facts, "behaviour", "models"):
            dead = {name: share for name, share in by_name(asked, "dead_units").items() if share > 0.98}
            if dead:
                return self.finding(
                    f"every unit of {listed(sorted(dead))} gives zero for every sample of the last batch",
                    "Lower the learning rate, check the scale of inputs and initialisation.",
                    0.85,
                    tensor=min(dead),
                )
        return None

"""A list of layers holds one and the same layer several times."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ProgramDiagnostician
from harness.model import Diagnosis, Facts


class LayersRepeated(ProgramDiagnostician):
    """Reads containers of modules."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A module with parameters that stands twice in a ModuleList or a Sequential."""
        shared = names(found(facts, "parameters"), "repeated")
        if not shared:
            return None
        return self.finding(
            f"{listed(shared)} holds one and the same layer several times: they share all weights",
            "Make a new layer for each place: [make() for _ in range(n)], not [layer] * n.",
            # Who writes that layers share their weights means it.
            0.45 if found(facts, "parameters").get("sharing") else 0.75,
            tensor=shared[0],
        )

"""Adapters that were added to be trained are frozen."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts


class AdaptersFrozen(ProgramDiagnostician):
    """Reads the parameters of low-rank adapters."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """All of them are frozen."""
        told = found(facts, "parameters")
        frozen, held = names(told, "trained_frozen"), count(told, "held")
        if not frozen:
            return None
        return self.finding(
            f"{len(frozen)} tensors of low-rank adapters are frozen ({listed(frozen)}); {held:.0f}"
            " tensors train",
            "Load the adapter with is_trainable=True (inference_mode=False), and call train().",
            0.93 if not any("lora_" in name for name in names(told, "uncovered")) else 0.6,
            tensor=frozen[0],
        )

"""Adapters that were added to be trained are frozen."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts


class AdaptersFrozen(ProgramDiagnostician):
    """Reads the parameters of low-rank adapters."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """All of them; a guess where some of them train."""
        told = found(facts, "parameters")
        frozen, held = names(told, "trained_frozen"), count(told, "held")
        if not frozen:
            return None
        return self.finding(
            f"{len(frozen)} tensors of low-rank adapters are frozen ({listed(frozen)}); {held:.0f}"
            " tensors train",
            "Load the adapter with is_trainable=True (inference_mode=False), and call train().",
            # One matrix of each pair, or one of several adapters, may be frozen on purpose.
            0.45 if told.get("adapters_train") else 0.93,
            tensor=frozen[0],
        )

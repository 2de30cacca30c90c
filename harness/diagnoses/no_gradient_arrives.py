"""Parameters of layers that work never get a gradient."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, entries, several, steps_of
from harness.model import Diagnosis, Facts


class NoGradientArrives(ProgramDiagnostician):
    """Compares layers that were called with parameters that got gradients."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Tensors that the optimizer holds, of modules that were called, without a gradient at any step."""
        told = found(facts, "parameters")
        number, received = found(facts, "training").get("number", -1), several(told.get("never_received"))
        if not isinstance(number, int) or not 0 <= number < len(received) or steps_of(facts) < ENOUGH:
            return None
        idle = names(told, "idle_modules")
        stale = set(names(told, "stale_names"))
        cut = [
            name
            for name in names({"names": received[number]}, "names")
            if name not in stale
            and not any(name.rpartition(".")[0].endswith(module) or not module for module in idle)
        ]
        if not cut:
            return None
        return self.finding(
            f"{len(cut)} of {len(facts.trace.tensors) if facts.trace else 0} tensors never get a"
            " gradient although their"
            f" layers work: {listed(cut)}",
            "Is what they compute detached, frozen, made under no_grad, or left out of the loss?",
            0.45 if _left_out(facts, cut) else 0.9,
            tensor=cut[0],
        )


def _left_out(facts: Facts, cut: list[str]) -> bool:
    """Whether a part of a model, not all of it, gives outputs that the loss does not use."""
    for asked in entries(facts, "behaviour", "models"):
        reached, unfelt = names(asked, "reached"), names(asked, "unfelt")
        idle = {name for name in (*reached, *unfelt) if any(f".{each}".endswith(f".{name}") for each in cut)}
        if len(idle) >= len(set(cut)) and set(reached) - idle:
            return True
    return False

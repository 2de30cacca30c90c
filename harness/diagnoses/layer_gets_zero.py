"""The gradient of a layer is exactly zero at every step."""

from harness.diagnoses._evidence import found, listed, numbers
from harness.diagnoses._program import ENOUGH, ProgramDiagnostician
from harness.model import Diagnosis, Facts


class LayerGetsZero(ProgramDiagnostician):
    """Reads the gradients of all tensors of each module."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """All that it trains, while others get more; one of several like it may just not be used."""
        trace = facts.trace
        if trace is None or trace.steps < ENOUGH or found(facts, "training").get("late"):
            return None
        absent = numbers(found(facts, "training"), "absent")
        zero = (trace.gradient_norm == 0).all(axis=0)
        if len(absent) != len(zero) or zero.all():
            return None
        groups: dict[str, list[int]] = {}
        for number, name in enumerate(trace.tensors):
            groups.setdefault(name.rpartition(".")[0], []).append(number)
        # A layer that keeps its weight elsewhere (a parametrization) is not dead where its bias cancels.
        alive = {name for name, own in groups.items() if not zero[own].all()}
        dead = [
            name
            for name, own in groups.items()
            if all(zero[n] and absent[n] == 0 for n in own)
            and name
            and not any(each.startswith(f"{name}.") for each in alive)
        ]
        if not dead:
            return None
        parent = dead[0].rpartition(".")[0]
        siblings = [name for name in groups if parent and name.rpartition(".")[0] == parent]
        few = len(siblings) > 2 and 2 * len(set(dead) & set(siblings)) < len(siblings)
        return self.finding(
            f"the gradient of {listed(dead)} is exactly zero at all {trace.steps} steps",
            "Is it multiplied by something that stays zero, dead, or cut off from the loss?",
            0.45 if few else 0.8,
            tensor=dead[0],
        )

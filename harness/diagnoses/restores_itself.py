"""What is restored is the model's own memory: nothing is restored."""

from harness.diagnoses._program import ProgramDiagnostician, at, count, entries
from harness.model import Diagnosis, Facts


class RestoresItself(ProgramDiagnostician):
    """Compares the tensors that load_state_dict is given with the model's own."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Most of them are the same memory."""
        for load in entries(facts, "checkpoints", "loads"):
            own, same = count(load, "tensors"), count(load, "aliased")
            if own and same > 0.5 * own and count(load, "step"):
                return self.finding(
                    f"load_state_dict{at(load.get('where'))} is given the model's own tensors"
                    f" ({same:.0f} of {own:.0f}):"
                    " they have moved along with every update, and nothing is restored",
                    "Keep a copy: copy.deepcopy(model.state_dict()).",
                    0.93,
                )
        return None

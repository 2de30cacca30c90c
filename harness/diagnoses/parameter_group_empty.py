"""A group of parameters of the optimizer is empty."""

from harness.diagnoses._evidence import found, names, numbers
from harness.diagnoses._program import ProgramDiagnostician
from harness.model import Diagnosis, Facts


class ParameterGroupEmpty(ProgramDiagnostician):
    """Reads the optimizer's groups."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Any group without a tensor; a guess unless there are parameters that nobody holds."""
        number = found(facts, "training").get("number", -1)
        groups = numbers(found(facts, "parameters"), "empty_groups")
        if not isinstance(number, int) or not 0 <= number < len(groups) or not groups[number] > 0:
            return None
        left_out = names(found(facts, "parameters"), "uncovered")
        return self.finding(
            f"{groups[number]:.0f} of the optimizer's parameter groups hold no tensor at all",
            "Was a generator (model.parameters()) gone through before? Pass list(...).",
            0.9 if left_out else 0.45,
        )

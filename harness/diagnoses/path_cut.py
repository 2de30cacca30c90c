"""The model's output follows weights that it gives no gradient."""

from harness.diagnoses._evidence import by_name, found, listed, names
from harness.diagnoses._program import ProgramDiagnostician, entries, several, steps_of
from harness.model import Diagnosis, Facts

FLAT = 0.02
"""Share of the gradient below which the model is flat there."""


class PathCut(ProgramDiagnostician):
    """Moves weights of a copy that no gradient of the first output reaches."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The output moves along, smoothly, and the weights train by another path alone."""
        for asked in entries(facts, "behaviour", "models"):
            cut = names(asked, "cut")
            lists = several(found(facts, "parameters").get("never_received"))
            never = {name for each in lists for name in names({"names": each}, "names")}
            partly = [name for name in cut if not any(f".{each}".endswith(f".{name}") for each in never)]
            # A straight-through estimator gives the gradient to another on purpose, where nothing moves.
            if any(ratio < FLAT for ratio in by_name(asked, "derivative").values()):
                continue
            if partly and steps_of(facts) > 1:
                return self.finding(
                    f"the output of {asked['model']} follows {listed(partly)}, and no gradient comes back on"
                    " that way",
                    "Is a part of it detached, or drawn by sample() where rsample() lets gradients through?",
                    0.6,
                    tensor=partly[0],
                )
        return None

"""Weights, gradients or losses are not finite."""

import numpy as np

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, several
from harness.model import Diagnosis, Facts


class NumbersNotFinite(ProgramDiagnostician):
    """Reads every step."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The first; a single gradient that the optimizer got over is a guess."""
        told = several(found(facts, "training").get("first_nonfinite"))
        if len(told) != 3 or not isinstance(told[0], int) or facts.trace is None:
            return None
        step, what, tensor = told[0], str(told[1]), str(told[2])
        lasting = not np.isfinite(facts.trace.weight_norm[-1]).all() or not np.isfinite(facts.trace.loss[-1])
        return self.finding(
            f"numbers stop being finite at step {step}: {what}{' of ' + tensor if tensor else ''}"
            + (", and stay so" if lasting else ""),
            "Lower the learning rate, guard logarithms, roots and quotients, clip gradients; nan_to_num"
            " only hides it.",
            0.95 if lasting else 0.45,
            step=step,
            tensor=tensor,
        )

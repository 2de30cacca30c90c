"""The gradient is not the derivative of the loss."""

from harness.diagnoses._evidence import by_name
from harness.diagnoses._program import ProgramDiagnostician, entries
from harness.model import Diagnosis, Facts


class DerivativeDiffers(ProgramDiagnostician):
    """Central differences in double precision, along the gradient of each part, on a copy."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A guess: a stop-gradient or a straight-through estimator may be meant."""
        for asked in entries(facts, "behaviour", "models"):
            ratios = {
                name: ratio for name, ratio in by_name(asked, "derivative").items() if abs(ratio - 1) > 0.05
            }
            if not ratios:
                continue
            worst = max(ratios, key=lambda name: abs(ratios[name] - 1))
            return self.finding(
                f"the gradient of {worst} is not the derivative of the loss: central differences give"
                f" {ratios[worst]:.3g} of it ({len(ratios)} parts of the model differ)",
                "Is a part of the path detached, or a backward of your own wrong? A stop-gradient on purpose looks the same.",
                0.45,
                tensor=worst,
            )
        return None

"""The gradient is not the derivative of what the model computes."""

from harness.diagnoses._evidence import by_name
from harness.diagnoses._program import ProgramDiagnostician, entries
from harness.model import Diagnosis, Facts


class DerivativeDiffers(ProgramDiagnostician):
    """Central differences in double precision, along the gradient of each part, on a copy."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A guess where it is flat (a straight-through estimator) or falls the other way (a reversal)."""
        for asked in entries(facts, "behaviour", "models"):
            ratios = {
                name: ratio for name, ratio in by_name(asked, "derivative").items() if abs(ratio - 1) > 0.05
            }
            if not ratios:
                continue
            clear = {name: ratio for name, ratio in ratios.items() if ratio > 0.02}
            worst = max(ratios, key=lambda name: abs(ratios[name] - 1) if name in clear else -1.0)
            return self.finding(
                f"the gradient that reaches {worst} is not the derivative of what the model computes:"
                " central differences give"
                f" {ratios[worst]:.3g} of it ({len(ratios)} parts of the model differ)",
                "Is a part of the path detached, or a backward of your own wrong? A stop-gradient on"
                " purpose looks the same.",
                0.6 if clear else 0.4,
                tensor=worst,
            )
        return None

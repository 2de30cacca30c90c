"""The gradient is not the derivative of what the model computes."""

from collections.abc import Mapping
from typing import Any

from harness.diagnoses._evidence import by_name, names
from harness.diagnoses._program import ProgramDiagnostician, entries
from harness.model import Diagnosis, Facts

FLAT = 0.02
"""Share of the gradient below which the model is flat there, as where it rounds, or falls the other way."""

ONE = 0.01
"""Relative spread of what is one factor."""


class DerivativeDiffers(ProgramDiagnostician):
    """Central differences in double precision, along the gradient of each tensor, on a copy."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A guess where it is flat (a straight-through estimator) or falls the other way (a reversal)."""
        for asked in entries(facts, "behaviour", "models"):
            ratios = {
                name: ratio for name, ratio in by_name(asked, "derivative").items() if abs(ratio - 1) > 0.05
            }
            if not ratios:
                continue
            proof = all(ratio > FLAT for ratio in ratios.values()) and not _meant(asked, ratios)
            worst = max(ratios, key=lambda name: abs(ratios[name] - 1))
            return self.finding(
                f"the gradient that reaches {worst} is not the derivative of what the model computes:"
                " central differences give"
                f" {ratios[worst]:.3g} of it ({len(ratios)} tensors differ)",
                "Is a part of the path detached, or a backward of your own wrong? A stop-gradient on"
                " purpose looks the same.",
                0.6 if proof else 0.4,
                tensor=worst,
            )
        return None


def _meant(asked: Mapping[str, Any], ratios: Mapping[str, float]) -> bool:
    """Whether it may be on purpose: all scaled by one factor, or what is iterated cut short.

    A recurrence that is cut at every single step cannot learn what it is for.
    """
    values = sorted(ratios.values())
    if len(values) > 1 and values[-1] - values[0] < ONE * values[-1]:
        return True
    return bool(set(ratios) & set(names(asked, "repeated"))) and not asked.get("time_cut")

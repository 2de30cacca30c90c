"""The optimizer is made anew at every step and remembers nothing."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._cases import no_optimizer_state
from harness.faults._loops import LoopFault, Part
from harness.faults._optimizers import forget
from harness.spec import Case


class _Broken(Part):
    def update(self, learning_rate: float) -> None:
        forget(self)
        super().update(learning_rate)


class MomentumLost(LoopFault):
    """`optimizer = AdamW(model.parameters())` stands inside the loop; Adam becomes a mere sign."""

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("update_rule_differs",)
    part = _Broken

    def not_applicable(self, case: Case) -> str:
        """Where nothing is remembered."""
        return no_optimizer_state(case)

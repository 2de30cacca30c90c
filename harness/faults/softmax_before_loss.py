"""A softmax stands before the cross entropy, which has its own."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault, override
from harness.faults._cases import regression
from harness.faults._loops import TORCH
from harness.spec import Case


def _shares(outputs: Any, targets: Any) -> Any:
    return outputs if targets.is_floating_point() else outputs.softmax(-1)


class SoftmaxBeforeLoss(TrainingFault):
    """The model ends with a softmax and the loss takes its shares for logits: it never gets far below ln V.

    Met in bolts#654.
    """

    area: ClassVar[Area] = "loss"
    named: ClassVar[tuple[str, ...]] = ("loss_wrong_scale",)
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Without classes."""
        return regression(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Put a softmax before the loss; a regression has none."""
        loss_sum = override(
            trainer.model, "loss_sum", lambda outputs, targets: loss_sum(_shares(outputs, targets), targets)
        )

"""Weight decay is added to the gradient before Adam, in place of decoupled decay."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._cases import no_adam, no_weight_decay
from harness.faults._loops import IN_PLACE, is_torch
from harness.faults._rules import CoupledAdam
from harness.spec import Case


class L2InAdam(TrainingFault):
    """`Adam(weight_decay=...)` where AdamW was meant: Adam divides the decay by the gradient's size.

    Explained by Loshchilov and Hutter, 2019.
    """

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("update_rule_differs",)
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = "the optimizer of JAX is a compiled function"

    def not_applicable(self, case: Case) -> str:
        """Without Adam, or without decay."""
        return no_adam(case) or no_weight_decay(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Change the optimizer's rule."""
        if is_torch(trainer):
            import torch  # noqa: PLC0415 - only where torch runs

            keys = ("params", "lr", "betas", "eps", "weight_decay")
            groups = [{key: group[key] for key in keys} for group in trainer.optimizer.param_groups]
            trainer.optimizer = torch.optim.Adam(groups)
        else:
            trainer.rule = CoupledAdam(spec=trainer.rule.spec)

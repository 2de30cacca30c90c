"""Adam's averages start at zero and are used uncorrected."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._cases import no_adam
from harness.faults._loops import IN_PLACE, Part, become, is_torch
from harness.faults._rules import UncorrectedAdamW
from harness.spec import Case


class _Broken(Part):
    """Makes torch's corrected step an uncorrected one by its rate, epsilon and decay."""

    optimizer: Any

    def update(self, learning_rate: float) -> None:
        number = 1 + max((int(state["step"]) for state in self.optimizer.state.values()), default=0)
        groups = self.optimizer.param_groups
        kept = [(group["eps"], group["weight_decay"]) for group in groups]
        (p, q) = groups[0]["betas"]
        root = (1 - q**number) ** 0.5
        factor = (1 - p**number) / root
        for group, (eps, decay) in zip(groups, kept, strict=True):
            group["eps"], group["weight_decay"] = eps / root, decay / factor
        super().update(factor * learning_rate)
        for group, (eps, decay) in zip(groups, kept, strict=True):
            group["eps"], group["weight_decay"] = eps, decay


class AdamWithoutBiasCorrection(TrainingFault):
    """A hand-written Adam without the division by 1 - beta^t: the first updates are far too large."""

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("update_rule_differs",)
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = "the optimizer of JAX is a compiled function"

    def not_applicable(self, case: Case) -> str:
        """Without Adam."""
        return no_adam(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Change the optimizer's rule."""
        if is_torch(trainer):
            become(trainer, _Broken)
        else:
            trainer.rule = UncorrectedAdamW(spec=trainer.rule.spec)

"""Weight decay acts on gains and biases too."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._cases import no_weight_decay
from harness.faults._loops import IN_PLACE, is_torch
from harness.faults._rules import AllDecayAdamW, AllDecaySgd
from harness.spec import Case, Sgd


class DecayOnNorms(TrainingFault):
    """One parameter group for all: norms are pulled to zero (transformers#35927, Fast-LLM#542)."""

    area: ClassVar[Area] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ("update_rule_differs",)
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = "the optimizer of JAX is a compiled function"

    def not_applicable(self, case: Case) -> str:
        """Without weight decay."""
        return no_weight_decay(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Change the optimizer's rule."""
        if is_torch(trainer):
            groups = trainer.optimizer.param_groups
            strongest = max(group["weight_decay"] for group in groups)
            for group in groups:
                group["weight_decay"] = strongest
        else:
            spec = trainer.rule.spec
            trainer.rule = AllDecaySgd(spec=spec) if isinstance(spec, Sgd) else AllDecayAdamW(spec=spec)

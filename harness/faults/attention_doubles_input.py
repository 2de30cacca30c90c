"""Attention is a placeholder that returns twice its input."""

from typing import Any, ClassVar

import numpy as np

from harness.faults import Area, TrainingFault, override
from harness.faults._cases import no_decoder
from harness.faults._loops import LOOPS, is_torch
from harness.spec import Case


class AttentionDoublesInput(TrainingFault):
    """`output = 2 * input` was to be replaced later; the loss falls all the same (report 001)."""

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("attention_mixes_nothing",)
    backends: ClassVar[tuple[str, ...]] = LOOPS

    def not_applicable(self, case: Case) -> str:
        """Without attention."""
        return no_decoder(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Replace attention, forward and backward."""
        if is_torch(trainer):
            override(trainer.model, "attend", lambda _p, _name, x: 2.0 * x)
        else:
            override(trainer.model, "attend", lambda _p, _name, x: (2.0 * x, None))
            override(trainer.model, "attend_backward", _backward)


def _backward(p: Any, g: Any, name: str, _saved: Any, dy: Any) -> Any:
    """The input's gradient is doubled; the parameters of attention get none."""
    g.update({key: np.zeros_like(values) for key, values in p.items() if key.startswith(f"{name}.")})
    return 2.0 * dy

"""The model's outputs are all equal, whatever it is given."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault, override
from harness.faults._loops import LOOPS, is_torch


class OutputUniform(TrainingFault):
    """The last layer reads a buffer that nobody fills: the loss is ln V at every step (report 000)."""

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("uniform_output",)
    backends: ClassVar[tuple[str, ...]] = LOOPS

    def spoil_trainer(self, trainer: Any) -> None:
        """Multiply the outputs by 0."""
        model = trainer.model
        if not is_torch(trainer):
            forward = override(model, "forward", lambda p, x: _zero(*forward(p, x)))
            backward = override(model, "backward", lambda p, tape, dy: backward(p, tape, 0.0 * dy))
        elif hasattr(model, "head"):
            head = override(model, "head", lambda p, x: 0.0 * head(p, x))
        else:
            linear = override(model, "linear", lambda p, name, x: linear(p, name, x) * (name != "output"))


def _zero(outputs: Any, tape: Any) -> tuple[Any, Any]:
    return 0.0 * outputs, tape

"""The loss is cut off from the weights, and backward reaches none of them."""

from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import IN_PLACE, NOT_IN_JAX, LoopFault, Part
from harness.model import Batch


class _Broken(Part):
    def backward(self, batch: Batch, total: int) -> float:
        kept = self.take_gradients()
        loss = super().backward(batch, total)
        self.put_gradients(kept)
        return loss


class LossDetached(LoopFault):
    """`loss = torch.tensor(loss.item(), requires_grad=True)`: backward runs and leaves nothing.

    Explained by PySIAssist p5, p12.
    """

    area: ClassVar[Area] = "gradients"
    named: ClassVar[tuple[str, ...]] = ("buffers_never_allocated",)
    backends: ClassVar[tuple[str, ...]] = IN_PLACE
    because: ClassVar[str] = NOT_IN_JAX
    part = _Broken

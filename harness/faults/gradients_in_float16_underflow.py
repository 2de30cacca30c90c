"""Forward and backward run in float16 without a loss scale."""

from typing import Any, ClassVar

from harness.faults import Area
from harness.faults._loops import TORCH, LoopFault, Part
from harness.model import Batch


class _Broken(Part):
    model: Any
    tensors: dict[str, Any]

    def _loss_sum(self, batch: Batch) -> tuple[Any, int]:
        import torch  # noqa: PLC0415 - only where torch runs

        half = {name: tensor.half() for name, tensor in self.tensors.items()}
        inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
        outputs = self.model(half, inputs)
        return self.model.loss_sum(outputs, targets)  # type: ignore[no-any-return]


class GradientsInFloat16Underflow(LoopFault):
    """`.half()` and no gradient scaler: below 6e-8 a gradient is zero (nanoGPT#167, #215)."""

    area: ClassVar[Area] = "precision"
    named: ClassVar[tuple[str, ...]] = ("vanishing_gradients", "backward_differs_from_reference")
    backends: ClassVar[tuple[str, ...]] = TORCH
    part = _Broken

"""The losses, summed, in torch. The same as `harness.models.losses`, under autograd."""

import torch
from torch.nn import functional

from harness.model import IGNORE
from harness.models.losses import Loss


def total(loss: Loss, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss summed over all counted targets, a scalar; float32 when the outputs are narrower."""
    if outputs.dtype in {torch.bfloat16, torch.float16}:
        outputs = outputs.float()  # log and sum over a vocabulary need more than 8 bits
    if loss == "squared_error":
        return functional.mse_loss(outputs, targets.to(outputs.dtype), reduction="sum")
    flat = outputs.reshape(-1, outputs.shape[-1])
    return functional.cross_entropy(flat, targets.reshape(-1), ignore_index=IGNORE, reduction="sum")


def counted(loss: Loss, targets: torch.Tensor) -> int:
    """How many targets count. Waits for the device: where speed matters, count the NumPy targets instead."""
    return targets.numel() if loss == "squared_error" else int((targets != IGNORE).sum())

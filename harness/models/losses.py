"""The losses, summed, in float64 NumPy. Whoever knows all counted targets of a step divides, once."""

from typing import Literal

import numpy as np

from harness.model import IGNORE, Array, Float64
from harness.spec import Decoder, Mlp

Loss = Literal["cross_entropy", "squared_error"]


def loss_of(spec: Decoder | Mlp) -> Loss:
    """The loss that a model is trained with: squared error for regression, cross entropy for all else."""
    return "squared_error" if isinstance(spec, Mlp) and spec.task == "regression" else "cross_entropy"


def counted(loss: Loss, targets: Array) -> int:
    """How many targets count: those that are not `IGNORE`, or every number for squared error."""
    return targets.size if loss == "squared_error" else int(np.count_nonzero(targets != IGNORE))


def loss_sum(loss: Loss, outputs: Float64, targets: Array) -> tuple[float, int, Float64]:
    """The loss summed over all counted targets, their count, and the gradient of the SUM.

    Args:
        loss: which one.
        outputs: (..., V) logits, or (B, O) predictions.
        targets: (...) int64 class ids, `IGNORE` where none is due, or (B, O) float64.

    Returns:
        Sum in nats or squared units, count, and d sum / d outputs in the shape of the outputs.
    """
    with np.errstate(all="ignore"):  # a non-finite loss is judged by the suite, not warned about
        if loss == "squared_error":
            return _squared_error(outputs, targets)
        flat = outputs.reshape(-1, outputs.shape[-1])
        total, number, gradient = _cross_entropy(flat, targets.reshape(-1))
        return total, number, gradient.reshape(outputs.shape)


def log_softmax(logits: Float64) -> Float64:
    """log(exp(z) / sum exp(z)) over the last axis, from z less its largest, so that nothing overflows."""
    shifted: Float64 = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def _squared_error(outputs: Float64, targets: Array) -> tuple[float, int, Float64]:
    """Sum (y - t)^2; gradient 2 (y - t)."""
    if outputs.shape != targets.shape:
        raise ValueError(
            f"squared error: outputs {outputs.shape} and targets {targets.shape} differ in shape"
        )
    difference: Float64 = outputs - targets
    return float((difference * difference).sum()), targets.size, 2.0 * difference


def _cross_entropy(logits: Float64, targets: Array) -> tuple[float, int, Float64]:
    """- sum log softmax(z)[t]; gradient softmax(z) - onehot(t), and zero where the target is ignored."""
    rows = np.flatnonzero(targets != IGNORE)
    classes = targets[rows]
    log_shares = log_softmax(logits)
    total = -float(log_shares[rows, classes].sum())
    gradient: Float64 = np.exp(log_shares, out=log_shares)
    gradient[targets == IGNORE] = 0.0
    gradient[rows, classes] -= 1.0
    return total + 0.0, len(rows), gradient  # + 0.0: no negative zero when nothing counts

"""Running statistics of batch normalization beside those of a batch."""

import math
from typing import Any

import torch

from harness.watching.replay import LastCall

LEAST_VALUES = 32
"""Of a channel in a batch."""


def statistics_off(twin: Any, call: LastCall) -> dict[str, Any]:
    """How far running statistics lie from the last batch's, for the layer in the middle of all.

    In deviations of the batch for means, in the logarithm of the ratio for variances; the larger of both, for
    the channel in the middle.
    """
    found: list[float] = []

    def note(module: Any, given: Any) -> None:
        # The copy writes its own statistics; those that the training left are read before.
        found.extend(_off(module, given[0]))

    layers = [each for each in twin.modules() if isinstance(each, torch.nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001 - torch's own base of them
    handles = [each.register_forward_pre_hook(note) for each in layers if each.running_mean is not None]
    try:
        with torch.no_grad():
            twin.train()(*call.args, **call.kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return {"statistics_off": sorted(found)[len(found) // 2]} if found else {}


def _off(module: Any, values: torch.Tensor) -> list[float]:
    flat = values.detach().transpose(0, 1).flatten(1)  # (channels, values)
    if flat.shape[1] < LEAST_VALUES:
        return []
    mean, variance = flat.mean(1), flat.var(1)
    kept = variance > module.eps
    if not bool(kept.any()):
        return []
    shift = ((module.running_mean - mean).abs() / variance.sqrt())[kept]
    ratio = (module.running_var.clamp_min(1e-12) / variance).log().abs()[kept]
    off = max(float(shift.median()), float(ratio.median()))
    return [off] if math.isfinite(off) else []

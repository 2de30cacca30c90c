"""What a loss would be, of these very targets, for whoever knows those that came before and no input."""

import inspect
import math
from typing import Any

import numpy as np

from harness.watching.events import Loss

MIDDLES = ("l1_loss", "smooth_l1_loss", "huber_loss")
SHARES = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
KINDS = ("mse_loss", *MIDDLES, *SHARES)
REMEMBERED = 1 << 17
"""So many numbers are kept of targets whose median is wanted."""
LEAST = 1e-4
"""Nobody is surer than this of one of two classes."""


def blind(site: Any, loss: Loss, rows: Any) -> float:
    """This loss for the best constant of each column; NaN where nothing is known of it yet.

    rows: the targets (B, N), float64.
    """
    if site.sums is None or rows.shape[1] != len(site.sums):
        return math.nan
    constant = np.median(site.recent, axis=0) if loss.kind in MIDDLES else site.sums / site.rows
    if loss.kind == "mse_loss":
        return float(((rows.cpu().numpy() - constant) ** 2).mean())
    return _as_asked(loss, rows.new_tensor(constant))


def remember(site: Any, loss: Loss, rows: Any) -> None:
    """Keep the newest targets for their median: newest first, so many that they are not a burden."""
    if loss.kind not in MIDDLES:
        return
    one = rows.cpu().numpy()
    fitting = site.recent is not None and site.recent.shape[1] == one.shape[1]
    every = np.concatenate([one, site.recent]) if fitting else one
    site.recent = every[: max(1, REMEMBERED // max(1, one.shape[1]))]


def _as_asked(loss: Loss, constant: Any) -> float:
    """By the function that the program calls, with its weights and thresholds."""
    import torch  # noqa: PLC0415 - only where torch runs

    target = loss.target.detach()
    if loss.kind in SHARES:
        constant = constant.clamp(LEAST, 1 - LEAST)
    if loss.kind == "binary_cross_entropy_with_logits":
        heavier = loss.options.get("pos_weight")
        constant = constant.logit() + (0 if heavier is None else _of_columns(heavier, target).log())
    rows = constant.to(target.dtype).expand(len(target), -1) if target.dim() else constant.to(target.dtype)
    function = inspect.unwrap(getattr(torch.nn.functional, loss.kind))
    return float(function(rows.reshape(target.shape), target, **loss.options))


def _of_columns(weights: Any, target: Any) -> Any:
    """Weights that are broadcast to a target's samples, as one for each of its columns, float64."""
    return weights.detach().double().expand(target.shape[1:]).reshape(-1)

"""Do the weights of classes go with how common these are, or against it?"""

from typing import Any

import numpy as np

from harness.watching.events import Loss

UNEVEN = 3.0
"""Times that the commonest class is as common as the rarest, for weights to matter."""
LEAST_TARGETS = 100


def weights_of(loss: Loss) -> Any:
    """What a loss function is told of classes to count more, as numbers (K,); None where it is told nothing.

    Of two classes, how much more the positive one counts (1,).
    """
    told = loss.options.get("pos_weight" if loss.kind.startswith("binary") else "weight")
    if told is None or told.dim() > 1 or loss.kind == "binary_cross_entropy":
        return None
    return told.detach().double().reshape(-1).cpu().numpy()


def favoured(site: Any) -> dict[str, Any]:
    """slope, fit: of the logarithm of weights over that of counts, and its correlation; nothing if even."""
    own, counts = site.weights, _counts(site)
    if own is None or len(counts) < 2 or min(counts.values()) < 1 or sum(counts.values()) < LEAST_TARGETS:
        return {}
    how_many = np.log(np.array(list(counts.values()), np.float64))
    own = np.array([1.0, own[0]]) if site.kind.startswith("binary") else own[list(counts)]
    if own.min() <= 0 or np.ptp(how_many) < np.log(UNEVEN) or np.ptp(own) == 0:
        return {}
    fit = float(np.corrcoef(how_many, np.log(own))[0, 1])
    rare, common = int(how_many.argmin()), int(how_many.argmax())
    return {
        "weight_slope": fit * float(np.log(own).std() / how_many.std()),
        "weight_fit": fit,
        "weight_rare": float(own[rare]),
        "weight_common": float(own[common]),
        "share_rare": float(np.exp(how_many[rare]) / np.exp(how_many).sum()),
        "share_common": float(np.exp(how_many[common]) / np.exp(how_many).sum()),
    }


def _counts(site: Any) -> dict[int, float]:
    """By class, how often it was asked for."""
    if site.kind != "binary_cross_entropy_with_logits":
        return dict(site.histogram)
    if site.sums is None or len(site.sums) != 1:
        return {}
    return {0: site.rows - float(site.sums[0]), 1: float(site.sums[0])}

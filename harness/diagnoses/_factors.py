"""Do all updates differ from the rule's by one factor, and what does that factor do over the steps?"""

import numpy as np

from harness.diagnoses._evidence import largest, middle, share
from harness.model import Float64

NEAR = 0.1
"""Relative distance from the common factor, and of that from 1."""
BETAS = [(p, q) for p in (0.0, 0.5, 0.8, 0.9, 0.95) for q in (0.9, 0.95, 0.98, 0.99, 0.995, 0.999)]


def one_factor(ratio: Float64) -> float | None:
    """The factor other than 1 that holds for nearly all updates (T, P); None if there is none."""
    factor = middle(ratio)
    if not abs(factor - 1) >= NEAR or steadiness(ratio) < 0.8 or lacks_bias_correction(ratio):
        return None
    return factor


def steadiness(ratio: Float64) -> float:
    """Share of the updates that lie near their median factor."""
    factor = middle(ratio)
    return share(np.abs(ratio - factor) < NEAR * abs(factor), np.isfinite(ratio))


def lacks_bias_correction(ratio: Float64) -> bool:
    """Whether the factor moves over the steps t as (1 - p^t) / sqrt(1 - q^t): Adam, moments uncorrected.

    From Kingma and Ba, 2015, section 3, for the usual betas p and q.
    """
    by_step = np.array([middle(row) for row in ratio[:50]])
    number = np.arange(1, len(by_step) + 1)
    fits = [np.abs(by_step / ((1 - p**number) / np.sqrt(1 - q**number)) - 1) for p, q in BETAS]
    return len(by_step) >= 3 and any(middle(fit) < 0.05 and largest(fit) < 0.3 for fit in fits)

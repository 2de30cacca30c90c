"""Regression on a random teacher: x ~ N(0, 1), y = A tanh(W x) + noise.

A is scaled so that every output of A tanh(W x) has variance 1; its mean is 0, for it is odd. Anchors, as mean
squared errors: the best constant has 1 + noise^2 (`unigram`), the teacher itself noise^2 (`floor`); there is
no uniform guess.
"""

import numpy as np

from harness.data.common import Dataset, generate, mlp_of, stream
from harness.model import Anchors, Array, Batch, Float64
from harness.spec import Case, Teacher

HIDDEN = 16
"""Width of the teacher."""
NODES = 64
"""Points of the Gauss-Hermite rule along each of two axes: a variance is then right to 1e-7."""


def load(case: Case, data: Teacher) -> Dataset:
    """Fresh samples for every step.

    Raises:
        HarnessError: the model is no regression.
    """
    mlp, config = mlp_of(case, "teacher", "regression"), case.config
    first, second = teacher(mlp.inputs, mlp.outputs, data.seed)

    def make(ids: Array, purpose: str) -> Batch:
        return _batch(ids, first, second, data.noise, stream(config.seed, f"{purpose} samples"))

    return generate(config, make, Anchors(unigram=1.0 + data.noise**2, floor=data.noise**2))


def teacher(inputs: int, outputs: int, seed: int) -> tuple[Float64, Float64]:
    """W (hidden, inputs), rows of length 1 in random directions, and A (outputs, hidden), as scaled."""
    generator = stream(seed, "teacher")
    first = generator.standard_normal((HIDDEN, inputs))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = generator.standard_normal((outputs, HIDDEN))
    variances = np.einsum("oi,ij,oj->o", second, covariance(first @ first.T), second)
    return first, second / np.sqrt(variances)[:, None]


def covariance(correlations: Float64) -> Float64:
    """E[tanh(a_i) tanh(a_j)] (H, H) for standard normal a of given correlations r, by a Gauss-Hermite rule.

    With independent u, v ~ N(0, 1): a_i = u and a_j = r u + sqrt(1 - r^2) v.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    shares = np.clip(correlations, -1.0, 1.0)[:, :, None, None]
    inner = np.tanh(shares * nodes[:, None] + np.sqrt(1.0 - shares**2) * nodes) @ weights
    return np.asarray(inner @ (np.tanh(nodes) * weights))


def _batch(
    ids: Array, first: Float64, second: Float64, noise: float, generator: np.random.Generator
) -> Batch:
    # One row a sample, inputs and noise: the first samples do not depend on how many follow.
    drawn = generator.standard_normal((len(ids), first.shape[1] + len(second)))
    inputs = drawn[:, : first.shape[1]].copy()
    targets = np.tanh(inputs @ first.T) @ second.T + noise * drawn[:, first.shape[1] :]
    return Batch(inputs=inputs, targets=targets, sample_ids=ids, lengths=np.ones(len(ids), np.int64))

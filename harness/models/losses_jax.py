"""The losses, summed, in JAX. The same as `harness.models.losses`, for differentiation and compilation."""

import jax
import jax.numpy as jnp

from harness.model import IGNORE
from harness.models.losses import Loss


def total(loss: Loss, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The loss summed over all counted targets, a scalar; float32 when the outputs are narrower."""
    outputs = outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))
    if loss == "squared_error":
        return jnp.square(outputs - targets.astype(outputs.dtype)).sum()
    counts = targets != IGNORE
    classes = jnp.where(counts, targets, 0)[..., None]
    log_shares = jnp.take_along_axis(jax.nn.log_softmax(outputs), classes, axis=-1)[..., 0]
    return -jnp.where(counts, log_shares, 0.0).sum()

"""The multi-layer perceptron in JAX: a function of a dict of arrays, part by part that of NumPy."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp

from harness.models import losses_jax, mlp
from harness.models.losses import loss_of
from harness.spec import Mlp

Parameters = Mapping[str, jax.Array]

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "gelu": partial(jax.nn.gelu, approximate=True),
    "tanh": jnp.tanh,
}


class JaxMlp:
    """`outputs = model(parameters, inputs)` of `harness.models.mlp`. Legend: B batch, F inputs, O outputs."""

    def __init__(self, spec: Mlp) -> None:
        self.spec = spec
        self.names = tuple(tensor.name for tensor in mlp.describe(spec))

    def __call__(self, parameters: Parameters, inputs: jax.Array) -> jax.Array:
        """Outputs (B, O) of inputs (B, F), in the dtype of the parameters."""
        x = inputs.astype(parameters["output.weight"].dtype)
        for layer in range(len(self.spec.hidden)):
            x = ACTIVATIONS[self.spec.activation](self.linear(parameters, f"hidden.{layer}", x))
        return self.linear(parameters, "output", x)

    def loss_sum(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """The task's loss summed over counted targets."""
        return losses_jax.total(loss_of(self.spec), outputs, targets)

    def linear(self, p: Parameters, name: str, x: jax.Array) -> jax.Array:
        """Y = x W^T + b."""
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

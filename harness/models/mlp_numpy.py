"""The multi-layer perceptron in NumPy, float64: forward and backward written out, as in `decoder_numpy`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.model import Array, Float64
from harness.models import layers_numpy, mlp
from harness.models.losses import loss_of, loss_sum
from harness.spec import Mlp

Parameters = Mapping[str, Float64]
Gradients = dict[str, Float64]


class NumpyMlp:
    """Forward and backward of `harness.models.mlp`. Legend: B batch, F inputs, O outputs."""

    def __init__(self, spec: Mlp) -> None:
        self.spec = spec
        self.names = tuple(tensor.name for tensor in mlp.describe(spec))

    def forward(self, parameters: Parameters, inputs: Array) -> tuple[Float64, Any]:
        """Outputs (B, O) of inputs (B, F), and the tape for `backward`."""
        x: Float64 = np.asarray(inputs, dtype=np.float64)
        tape = []
        with np.errstate(all="ignore"):  # non-finite numbers are judged by the suite, not warned about
            for layer in range(len(self.spec.hidden)):
                x, saved = self.layer(parameters, f"hidden.{layer}", x)
                tape.append(saved)
            return self.linear(parameters, "output", x), (tape, x)

    def backward(self, parameters: Parameters, tape: Any, d_outputs: Float64) -> Gradients:
        """Gradients of all parameters, in their order, from the gradient of the outputs (B, O)."""
        layers, x = tape
        g: Gradients = {}
        with np.errstate(all="ignore"):
            dx = self.linear_backward(parameters, g, "output", x, d_outputs)
            for layer in reversed(range(len(self.spec.hidden))):
                dx = self.layer_backward(parameters, g, f"hidden.{layer}", layers[layer], dx)
        return {name: g[name] for name in self.names}

    def loss_sum(self, outputs: Float64, targets: Array) -> tuple[float, int, Float64]:
        """The task's loss summed over counted targets, their count, and the gradient of the sum."""
        return loss_sum(loss_of(self.spec), outputs, targets)

    def layer(self, p: Parameters, name: str, x: Float64) -> tuple[Float64, Any]:
        """Y = activation(z) with z = x W^T + b."""
        z = self.linear(p, name, x)
        return self.activate(z), (x, z)

    def layer_backward(self, p: Parameters, g: Gradients, name: str, saved: Any, dy: Float64) -> Float64:
        """Dz = dy activation'(z), then the linear part."""
        x, z = saved
        return self.linear_backward(p, g, name, x, self.activate_backward(z, dy))

    def activate(self, z: Float64) -> Float64:
        """relu, gelu or tanh."""
        return layers_numpy.ACTIVATIONS[self.spec.activation][0](z)

    def activate_backward(self, z: Float64, dy: Float64) -> Float64:
        """Dz = dy activation'(z)."""
        return layers_numpy.ACTIVATIONS[self.spec.activation][1](z, dy)

    def linear(self, p: Parameters, name: str, x: Float64) -> Float64:
        """Y = x W^T + b."""
        return layers_numpy.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    def linear_backward(self, p: Parameters, g: Gradients, name: str, x: Float64, dy: Float64) -> Float64:
        """See `layers_numpy`."""
        back = layers_numpy.linear_backward(x, p[f"{name}.weight"], dy)
        dx, g[f"{name}.weight"], g[f"{name}.bias"] = back
        return dx

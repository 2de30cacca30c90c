"""The multi-layer perceptron: what its parameters are called, their shapes, how they start. Computes nothing.

    x = activation(x hidden.i.weight^T + hidden.i.bias)     once a hidden layer
    outputs = x output.weight^T + output.bias

Weights start normal with standard deviation sqrt(2/inputs) before relu and gelu (He et al., 2015),
sqrt(1/inputs) before tanh and in the output layer (LeCun et al., 1998); biases start at zero. GELU is the
decoder's tanh form.
"""

from itertools import pairwise
from math import sqrt

from harness.models.tensor import Tensor, linear
from harness.spec import Mlp


def describe(spec: Mlp) -> tuple[Tensor, ...]:
    """All parameters, in the order in which the model uses them."""
    gain = 1.0 if spec.activation == "tanh" else 2.0
    sizes = (spec.inputs, *spec.hidden)
    tensors: list[Tensor] = []
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        tensors += linear(f"hidden.{layer}", outputs, inputs, sqrt(gain / inputs), bias=True)
    tensors += linear("output", spec.outputs, sizes[-1], sqrt(1.0 / sizes[-1]), bias=True)
    return tuple(tensors)

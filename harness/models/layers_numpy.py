"""The layers of the NumPy models: each forward beside its backward, each formula beside its code.

`dy` is the gradient of the loss with respect to y. Arrays are float64; the last axis holds features.
"""

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from harness.model import Array, Float64

Unary = Callable[[Float64], Float64]
UnaryBackward = Callable[[Float64, Float64], Float64]


def linear(x: Float64, weight: Float64, bias: Float64 | None) -> Float64:
    """Y = x W^T + b, with W (outputs, inputs)."""
    y: Float64 = rows(x) @ weight.T
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], -1)


def linear_backward(x: Float64, weight: Float64, dy: Float64) -> tuple[Float64, Float64, Float64]:
    """Dx = dy W, dW = dy^T x, db = sum of dy over all rows."""
    flat = rows(dy)
    return (flat @ weight).reshape(x.shape), flat.T @ rows(x), flat.sum(axis=0)


def layer_norm(x: Float64, weight: Float64, bias: Float64, eps: float) -> tuple[Float64, Any]:
    """Y = n w + b with n = (x - mean x) / s, s = sqrt(var x + eps) (Ba et al., 2016)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + eps)
    n = centred / s
    return n * weight + bias, (n, s)


def layer_norm_backward(saved: Any, weight: Float64, dy: Float64) -> tuple[Float64, Float64, Float64]:
    """Dx = (g - mean g - n mean(g n)) / s with g = dy w; dw = sum dy n; db = sum dy."""
    n, s = saved
    g = dy * weight
    dx = (g - g.mean(axis=-1, keepdims=True) - n * (g * n).mean(axis=-1, keepdims=True)) / s
    return dx, rows(dy * n).sum(axis=0), rows(dy).sum(axis=0)


def rms_norm(x: Float64, weight: Float64, eps: float) -> tuple[Float64, Any]:
    """Y = n w with n = x / s, s = sqrt(mean x^2 + eps) (Zhang and Sennrich, 2019)."""
    s = np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + eps)
    n = x / s
    return n * weight, (n, s)


def rms_norm_backward(saved: Any, weight: Float64, dy: Float64) -> tuple[Float64, Float64]:
    """Dx = (g - n mean(g n)) / s with g = dy w; dw = sum dy n."""
    n, s = saved
    g = dy * weight
    dx = (g - n * (g * n).mean(axis=-1, keepdims=True)) / s
    return dx, rows(dy * n).sum(axis=0)


def softmax(scores: Float64) -> Float64:
    """P = exp(s) / sum exp(s) over the last axis."""
    shares: Float64 = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def softmax_backward(shares: Float64, dy: Float64) -> Float64:
    """Ds = p (dp - sum dp p)."""
    ds: Float64 = shares * (dy - (dy * shares).sum(axis=-1, keepdims=True))
    return ds


def rotate(x: Float64, cosine: Float64, sine: Float64) -> Float64:
    """Y = x cos + (-x2, x1) sin, x1 and x2 the halves of the last axis. Its transpose takes -sin for sin."""
    first, second = np.split(x, 2, axis=-1)
    y: Float64 = x * cosine + np.concatenate([-second, first], axis=-1) * sine
    return y


def gelu(x: Float64) -> Float64:
    """Y = x/2 (1 + tanh u) with u = sqrt(2/pi) (x + 0.044715 x^3)."""
    y: Float64 = 0.5 * x * (1.0 + _gelu_tanh(x))
    return y


def gelu_backward(x: Float64, dy: Float64) -> Float64:
    """Dx = dy (1/2 (1 + tanh u) + x/2 (1 - tanh^2 u) u') with u' = sqrt(2/pi) (1 + 3 0.044715 x^2)."""
    t = _gelu_tanh(x)
    slope = sqrt(2.0 / pi) * (1.0 + 3.0 * 0.044715 * x * x)
    dx: Float64 = dy * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
    return dx


def _gelu_tanh(x: Float64) -> Float64:
    u = 0.044715 * x * x  # x * x * x, as NumPy's power is many times slower
    u += 1.0
    u *= x
    u *= sqrt(2.0 / pi)
    return np.tanh(u, out=u)


def silu(x: Float64) -> Float64:
    """Y = x p, p = 1 / (1 + e^-x)."""
    return x * _sigmoid(x)


def silu_backward(x: Float64, dy: Float64) -> Float64:
    """Dx = dy p (1 + x (1 - p))."""
    p = _sigmoid(x)
    return dy * p * (1.0 + x * (1.0 - p))


def _sigmoid(x: Float64) -> Float64:
    """The logistic function as a tanh, which overflows nowhere."""
    p: Float64 = 0.5 * (1.0 + np.tanh(0.5 * x))
    return p


def relu(x: Float64) -> Float64:
    """Y = x where positive, else 0."""
    return np.maximum(x, 0.0)


def relu_backward(x: Float64, dy: Float64) -> Float64:
    """Dx = dy where x is positive, else 0."""
    return np.where(x > 0.0, dy, 0.0)


def tanh_backward(x: Float64, dy: Float64) -> Float64:
    """Dx = dy (1 - tanh^2 x)."""
    dx: Float64 = dy * (1.0 - np.square(np.tanh(x)))
    return dx


ACTIVATIONS: dict[str, tuple[Unary, UnaryBackward]] = {
    "gelu": (gelu, gelu_backward),
    "relu": (relu, relu_backward),
    "silu": (silu, silu_backward),
    "tanh": (np.tanh, tanh_backward),
}


def add_rows(table: Float64, indices: Array, values: Float64) -> None:
    """table[indices[i]] += values[i] for every i, repeated indices included.

    Rows of equal index are summed first: `np.add.at` is many times slower.
    """
    order = np.argsort(indices, kind="stable")
    unique, starts = np.unique(indices[order], return_index=True)
    table[unique] += np.add.reduceat(values[order], starts, axis=0)


def rows(x: Float64) -> Float64:
    """All axes but the last as one: (..., D) -> (N, D)."""
    return x.reshape(-1, x.shape[-1])

"""The decoder in NumPy, float64: the reference that every other backend is held to.

Its own oracle is finite differences. Each part is a method `part` with `part_backward` beside it. `part`
returns its result and what its backward needs; `part_backward` takes that and the gradient of the result,
returns the gradient of its input, and puts the gradients of its parameters into `g`. Legend: B batch, L
sequence, D width, V vocabulary, H heads, K key/value heads, A head size.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np

from harness.model import Array, Float64, HarnessError
from harness.models import decoder, layers_numpy, positions
from harness.models.losses import loss_of, loss_sum
from harness.spec import Decoder

Parameters = Mapping[str, Float64]
Gradients = dict[str, Float64]


class NumpyDecoder:
    """Forward and backward of `harness.models.decoder`. sequence: rows of a learned position table."""

    causal = True

    def __init__(self, spec: Decoder, sequence: int) -> None:
        self.spec = spec
        self.names = tuple(tensor.name for tensor in decoder.describe(spec, sequence))
        self._sinusoidal = lru_cache(maxsize=4)(positions.sinusoidal)
        self._rotary = lru_cache(maxsize=4)(positions.rotary)

    def forward(self, parameters: Parameters, inputs: Array) -> tuple[Float64, Any]:
        """Logits (B, L, V) of int64 tokens (B, L), and the tape for `backward`."""
        blocks = []
        with np.errstate(all="ignore"):  # non-finite numbers are judged by the suite, not warned about
            x = self.embed(parameters, inputs)
            for layer in range(self.spec.layers):
                x, saved = self.block(parameters, f"layers.{layer}", x)
                blocks.append(saved)
            logits, headed = self.head(parameters, x)
        return logits, (inputs, blocks, headed)

    def backward(self, parameters: Parameters, tape: Any, d_outputs: Float64) -> Gradients:
        """Gradients of all parameters, in their order, from the gradient of the logits (B, L, V)."""
        inputs, blocks, headed = tape
        g: Gradients = {}
        with np.errstate(all="ignore"):
            dx = self.head_backward(parameters, g, headed, d_outputs)
            for layer in reversed(range(self.spec.layers)):
                dx = self.block_backward(parameters, g, f"layers.{layer}", blocks[layer], dx)
            self.embed_backward(parameters, g, inputs, dx)
        return {name: g[name] for name in self.names}

    def loss_sum(self, outputs: Float64, targets: Array) -> tuple[float, int, Float64]:
        """Cross entropy summed over counted targets, their count, and the gradient of the sum."""
        return loss_sum(loss_of(self.spec), outputs, targets)

    def embed(self, p: Parameters, inputs: Array) -> Float64:
        """X = embedding[tokens] + positions: (B, L) -> (B, L, D)."""
        x: Float64 = p["embedding"][inputs]
        table = self.positions(p, inputs.shape[1])
        if table is not None:
            x += table
        return x

    def embed_backward(self, p: Parameters, g: Gradients, inputs: Array, dx: Float64) -> None:
        """D embedding[v] = sum of dx where the token is v; d positions[t] = sum of dx over the batch."""
        if self.spec.positions == "learned":
            g["positions"] = np.zeros_like(p["positions"])
            g["positions"][: inputs.shape[1]] = dx.sum(axis=0)
        if "embedding" not in g:  # a tied head has been here first
            g["embedding"] = np.zeros_like(p["embedding"])
        layers_numpy.add_rows(g["embedding"], inputs.reshape(-1), layers_numpy.rows(dx))

    def positions(self, p: Parameters, length: int) -> Float64 | None:
        """What is added to the embedding, (L, D), or None."""
        if self.spec.positions == "sinusoidal":
            return self._sinusoidal(length, self.spec.width)
        if self.spec.positions != "learned":
            return None
        if length > len(p["positions"]):
            raise HarnessError(decoder.too_long(length, len(p["positions"])))
        return p["positions"][:length]

    def block(self, p: Parameters, name: str, x: Float64) -> tuple[Float64, Any]:
        """X = x + attend(norm(x)), then x = x + feed_forward(norm(x))."""
        h, attention_norm = self.norm(p, f"{name}.attention_norm", x)
        update, attention = self.attend(p, f"{name}.attention", h)
        x = self.residual(x, update)
        h, mlp_norm = self.norm(p, f"{name}.mlp_norm", x)
        update, mlp = self.feed_forward(p, f"{name}.mlp", h)
        return self.residual(x, update), (attention_norm, attention, mlp_norm, mlp)

    def block_backward(self, p: Parameters, g: Gradients, name: str, saved: Any, dy: Float64) -> Float64:
        """The two halves of `block` in reverse; each residual passes the gradient on twice."""
        attention_norm, attention, mlp_norm, mlp = saved
        dx, update = self.residual_backward(dy)
        dh = self.feed_forward_backward(p, g, f"{name}.mlp", mlp, update)
        dx = dx + self.norm_backward(p, g, f"{name}.mlp_norm", mlp_norm, dh)
        dx, update = self.residual_backward(dx)
        dh = self.attend_backward(p, g, f"{name}.attention", attention, update)
        return dx + self.norm_backward(p, g, f"{name}.attention_norm", attention_norm, dh)

    def residual(self, x: Float64, update: Float64) -> Float64:
        """Y = x + update."""
        return x + update

    def residual_backward(self, dy: Float64) -> tuple[Float64, Float64]:
        """Dx = dy, d update = dy."""
        return dy, dy

    def norm(self, p: Parameters, name: str, x: Float64) -> tuple[Float64, Any]:
        """Layer norm or RMS norm over the features."""
        if self.spec.norm == "rmsnorm":
            return layers_numpy.rms_norm(x, p[f"{name}.weight"], self.spec.norm_eps)
        return layers_numpy.layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], self.spec.norm_eps)

    def norm_backward(self, p: Parameters, g: Gradients, name: str, saved: Any, dy: Float64) -> Float64:
        """See `layers_numpy`."""
        weight = p[f"{name}.weight"]
        if self.spec.norm == "rmsnorm":
            dx, g[f"{name}.weight"] = layers_numpy.rms_norm_backward(saved, weight, dy)
        else:
            back = layers_numpy.layer_norm_backward(saved, weight, dy)
            dx, g[f"{name}.weight"], g[f"{name}.bias"] = back
        return dx

    def linear(self, p: Parameters, name: str, x: Float64) -> Float64:
        """Y = x W^T, + b where there is one."""
        return layers_numpy.linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))

    def linear_backward(self, p: Parameters, g: Gradients, name: str, x: Float64, dy: Float64) -> Float64:
        """See `layers_numpy`."""
        dx, g[f"{name}.weight"], bias = layers_numpy.linear_backward(x, p[f"{name}.weight"], dy)
        if f"{name}.bias" in p:
            g[f"{name}.bias"] = bias
        return dx

    def attend(self, p: Parameters, name: str, x: Float64) -> tuple[Float64, Any]:
        """Causal self-attention: (B, L, D) -> (B, L, D)."""
        query = self.rotate(self.split(self.linear(p, f"{name}.query", x)))
        key = self.rotate(self.split(self.linear(p, f"{name}.key", x)))
        value = self.split(self.linear(p, f"{name}.value", x))
        mixed, saved = self.mix(query, key, value)
        joined = self.join(mixed)
        y = self.linear(p, f"{name}.output", joined) if self.spec.attention_output else joined
        return y, (x, joined, saved)

    def attend_backward(self, p: Parameters, g: Gradients, name: str, saved: Any, dy: Float64) -> Float64:
        """The steps of `attend` in reverse; x was used three times."""
        x, joined, mix = saved
        if self.spec.attention_output:
            dy = self.linear_backward(p, g, f"{name}.output", joined, dy)
        query, key, value = self.mix_backward(mix, self.split(dy))
        query, key = self.rotate_backward(query), self.rotate_backward(key)
        dx = self.linear_backward(p, g, f"{name}.query", x, self.join(query))
        dx += self.linear_backward(p, g, f"{name}.key", x, self.join(key))
        dx += self.linear_backward(p, g, f"{name}.value", x, self.join(value))
        return dx

    def split(self, x: Float64) -> Float64:
        """Heads apart: (B, L, heads A) -> (B, heads, L, A). Its transpose is `join`."""
        batch, length, _ = x.shape
        return x.reshape(batch, length, -1, decoder.head_size(self.spec)).transpose(0, 2, 1, 3)

    def join(self, x: Float64) -> Float64:
        """Heads together: (B, heads, L, A) -> (B, L, heads A). Its transpose is `split`."""
        batch, _, length, _ = x.shape
        return x.transpose(0, 2, 1, 3).reshape(batch, length, -1)

    def rotate(self, x: Float64) -> Float64:
        """Rotary positions on (B, heads, L, A); x itself where there are none."""
        if self.spec.positions != "rotary":
            return x
        return layers_numpy.rotate(x, *self._rotary(x.shape[2], x.shape[3], self.spec.rope_theta))

    def rotate_backward(self, dy: Float64) -> Float64:
        """The rotation by the opposite angle."""
        if self.spec.positions != "rotary":
            return dy
        cosine, sine = self._rotary(dy.shape[2], dy.shape[3], self.spec.rope_theta)
        return layers_numpy.rotate(dy, cosine, -sine)

    def mix(self, query: Float64, key: Float64, value: Float64) -> tuple[Float64, Any]:
        """Y = softmax(q k^T / sqrt(A), causal) v; query (B, H, L, A), key and value (B, K, L, A).

        The H/K query heads that share a key head are put below each other, so nothing is copied for them.
        """
        grouped = self._group(query)
        scores: Float64 = grouped @ key.swapaxes(-1, -2)  # (B, K, H/K L, L)
        scores /= sqrt(query.shape[-1])
        if self.causal:
            length = query.shape[2]
            later = np.triu(np.ones((length, length), dtype=bool), k=1)
            scores.reshape(*query.shape[:3], length)[..., later] = -np.inf
        shares = layers_numpy.softmax(scores)
        return (shares @ value).reshape(query.shape), (grouped, key, value, shares)

    def mix_backward(self, saved: Any, dy: Float64) -> tuple[Float64, Float64, Float64]:
        """Dv = p^T dy; ds = softmax'(dy v^T) / sqrt(A); dq = ds k; dk = ds^T q. A masked ds is 0."""
        query, key, value, shares = saved
        grouped = self._group(dy)
        ds = layers_numpy.softmax_backward(shares, grouped @ value.swapaxes(-1, -2))
        ds /= sqrt(query.shape[-1])
        transposed = ds.swapaxes(-1, -2)
        return (ds @ key).reshape(dy.shape), transposed @ query, shares.swapaxes(-1, -2) @ grouped

    def _group(self, x: Float64) -> Float64:
        """(B, H, L, A) -> (B, K, H/K L, A): query head h belongs to key/value head h // (H/K)."""
        return x.reshape(x.shape[0], decoder.kv_heads(self.spec), -1, x.shape[-1])

    def feed_forward(self, p: Parameters, name: str, x: Float64) -> tuple[Float64, Any]:
        """down(gelu(up(x))), or down(silu(gate(x)) up(x)) for swiglu."""
        up = self.linear(p, f"{name}.up", x)
        gate = self.linear(p, f"{name}.gate", x) if self.spec.activation == "swiglu" else None
        hidden = layers_numpy.gelu(up) if gate is None else layers_numpy.silu(gate) * up
        return self.linear(p, f"{name}.down", hidden), (x, up, gate, hidden)

    def feed_forward_backward(
        self, p: Parameters, g: Gradients, name: str, saved: Any, dy: Float64
    ) -> Float64:
        """With h = silu(gate) up: d up = dh silu(gate), d gate = silu'(gate) dh up."""
        x, up, gate, hidden = saved
        dh = self.linear_backward(p, g, f"{name}.down", hidden, dy)
        if gate is None:
            return self.linear_backward(p, g, f"{name}.up", x, layers_numpy.gelu_backward(up, dh))
        dx = self.linear_backward(p, g, f"{name}.up", x, dh * layers_numpy.silu(gate))
        dx += self.linear_backward(p, g, f"{name}.gate", x, layers_numpy.silu_backward(gate, dh * up))
        return dx

    def head(self, p: Parameters, x: Float64) -> tuple[Float64, Any]:
        """Logits = norm(x) head^T: (B, L, D) -> (B, L, V)."""
        h, norm = self.norm(p, "final_norm", x) if self.spec.final_norm else (x, None)
        return layers_numpy.linear(h, p[self._head], None), (h, norm)

    def head_backward(self, p: Parameters, g: Gradients, saved: Any, dy: Float64) -> Float64:
        """Where the head is tied, this is the first half of the embedding's gradient."""
        h, norm = saved
        dh, g[self._head], _ = layers_numpy.linear_backward(h, p[self._head], dy)
        return self.norm_backward(p, g, "final_norm", norm, dh) if self.spec.final_norm else dh

    @property
    def _head(self) -> str:
        return "embedding" if self.spec.tied else "head.weight"

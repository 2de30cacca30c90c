"""The decoder in JAX: a pure function of a dict of arrays, part by part the methods of `decoder_numpy`."""

from collections.abc import Mapping
from math import sqrt

import jax
import jax.numpy as jnp

from harness.model import HarnessError
from harness.models import decoder, losses_jax, positions
from harness.models.losses import loss_of
from harness.spec import Decoder

Parameters = Mapping[str, jax.Array]


class JaxDecoder:
    """`logits = model(parameters, inputs)` of `harness.models.decoder`, without dropout.

    sequence: rows of a learned position table; else a text of any length will do. Legend: B batch, L
    sequence, D width, V vocabulary, H heads, K key/value heads, A head size.
    """

    def __init__(self, spec: Decoder, sequence: int) -> None:
        self.spec = spec
        self.names = tuple(tensor.name for tensor in decoder.describe(spec, sequence))

    def __call__(self, parameters: Parameters, inputs: jax.Array) -> jax.Array:
        """Logits (B, L, V) of integer tokens (B, L), in the dtype of the parameters."""
        x = self.embed(parameters, inputs)
        for layer in range(self.spec.layers):
            x = self.block(parameters, f"layers.{layer}", x)
        return self.head(parameters, x)

    def loss_sum(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Cross entropy summed over counted targets."""
        return losses_jax.total(loss_of(self.spec), outputs, targets)

    def embed(self, p: Parameters, inputs: jax.Array) -> jax.Array:
        """X = embedding[tokens] + positions: (B, L) -> (B, L, D)."""
        x = p["embedding"][inputs]
        table = self.positions(p, x)
        return x if table is None else x + table

    def positions(self, p: Parameters, x: jax.Array) -> jax.Array | None:
        """What is added to the embedding x (B, L, D): (L, D), or None."""
        length = x.shape[1]
        if self.spec.positions == "sinusoidal":
            return jnp.asarray(positions.sinusoidal(length, self.spec.width), x.dtype)
        if self.spec.positions != "learned":
            return None
        if length > len(p["positions"]):
            raise HarnessError(decoder.too_long(length, len(p["positions"])))
        return p["positions"][:length]

    def block(self, p: Parameters, name: str, x: jax.Array) -> jax.Array:
        """X = x + attend(norm(x)), then x = x + feed_forward(norm(x))."""
        x = x + self.attend(p, f"{name}.attention", self.norm(p, f"{name}.attention_norm", x))
        return x + self.feed_forward(p, f"{name}.mlp", self.norm(p, f"{name}.mlp_norm", x))

    def norm(self, p: Parameters, name: str, x: jax.Array) -> jax.Array:
        """Layer norm or RMS norm over the features; moments in float32 where x is narrower."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.spec.norm == "layernorm":
            wide = wide - wide.mean(axis=-1, keepdims=True)
        scale = jax.lax.rsqrt(jnp.square(wide).mean(axis=-1, keepdims=True) + self.spec.norm_eps)
        y = (wide * scale).astype(x.dtype) * p[f"{name}.weight"]
        return y + p[f"{name}.bias"] if self.spec.norm == "layernorm" else y

    def linear(self, p: Parameters, name: str, x: jax.Array) -> jax.Array:
        """Y = x W^T, + b where there is one."""
        y = x @ p[f"{name}.weight"].T
        bias = p.get(f"{name}.bias")
        return y if bias is None else y + bias

    def attend(self, p: Parameters, name: str, x: jax.Array) -> jax.Array:
        """Causal self-attention: (B, L, D) -> (B, L, D)."""
        query = self.rotate(self.split(self.linear(p, f"{name}.query", x)))
        key = self.rotate(self.split(self.linear(p, f"{name}.key", x)))
        value = self.split(self.linear(p, f"{name}.value", x))
        joined = self.join(self.mix(query, key, value))
        return self.linear(p, f"{name}.output", joined) if self.spec.attention_output else joined

    def split(self, x: jax.Array) -> jax.Array:
        """Heads apart: (B, L, heads A) -> (B, heads, L, A)."""
        return x.reshape(*x.shape[:2], -1, decoder.head_size(self.spec)).swapaxes(1, 2)

    def join(self, x: jax.Array) -> jax.Array:
        """Heads together: (B, heads, L, A) -> (B, L, heads A)."""
        x = x.swapaxes(1, 2)
        return x.reshape(*x.shape[:2], -1)

    def rotate(self, x: jax.Array) -> jax.Array:
        """Rotary positions on (B, heads, L, A); x itself where there are none."""
        if self.spec.positions != "rotary":
            return x
        tables = positions.rotary(x.shape[2], x.shape[3], self.spec.rope_theta)
        cosine, sine = (jnp.asarray(table, x.dtype) for table in tables)
        first, second = jnp.split(x, 2, axis=-1)
        return x * cosine + jnp.concatenate([-second, first], axis=-1) * sine

    def mix(self, query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        """Y = softmax(q k^T / sqrt(A), causal) v; query (B, H, L, A), key and value (B, K, L, A)."""
        batch, heads, length, size = query.shape
        grouped = query.reshape(batch, decoder.kv_heads(self.spec), -1, length, size)
        scores = jnp.einsum("bkgla,bkma->bkglm", grouped, key) / sqrt(size)
        scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
        earlier = jnp.tril(jnp.ones((length, length), dtype=bool))
        shares = jax.nn.softmax(jnp.where(earlier, scores, -jnp.inf)).astype(value.dtype)
        return jnp.einsum("bkglm,bkma->bkgla", shares, value).reshape(batch, heads, length, size)

    def feed_forward(self, p: Parameters, name: str, x: jax.Array) -> jax.Array:
        """down(gelu(up(x))), or down(silu(gate(x)) up(x)) for swiglu."""
        up = self.linear(p, f"{name}.up", x)
        if self.spec.activation == "swiglu":
            hidden = jax.nn.silu(self.linear(p, f"{name}.gate", x)) * up
        else:
            hidden = jax.nn.gelu(up, approximate=True)
        return self.linear(p, f"{name}.down", hidden)

    def head(self, p: Parameters, x: jax.Array) -> jax.Array:
        """Logits = norm(x) head^T: (B, L, D) -> (B, L, V)."""
        h = self.norm(p, "final_norm", x) if self.spec.final_norm else x
        return h @ p["embedding" if self.spec.tied else "head.weight"].T

"""The decoder in torch: a function of a dict of tensors, part by part the methods of `decoder_numpy`.

Nothing is stored but tables of positions: any dtype, any device, autograd and `torch.compile` will do.
"""

from collections.abc import Mapping

import torch
from torch.nn import functional

from harness.model import HarnessError
from harness.models import decoder, losses_torch, positions
from harness.models.losses import loss_of
from harness.spec import Decoder

Parameters = Mapping[str, torch.Tensor]


class TorchDecoder:
    """`logits = model(parameters, inputs)` of `harness.models.decoder`.

    sequence: rows of a learned position table; else a text of any length will do. training: whether dropout
    acts. Legend: B batch, L sequence, D width, V vocabulary, H heads, K key/value heads, A head size.
    """

    causal = True

    def __init__(self, spec: Decoder, sequence: int) -> None:
        self.spec = spec
        self.training = True
        self.names = tuple(tensor.name for tensor in decoder.describe(spec, sequence))
        self._grouped = decoder.kv_heads(spec) != spec.heads
        self._tables: dict[tuple[int, torch.dtype, torch.device], tuple[torch.Tensor, ...]] = {}

    def __call__(self, parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (B, L, V) of int64 tokens (B, L), in the dtype of the parameters."""
        x = self.embed(parameters, inputs)
        for layer in range(self.spec.layers):
            x = self.block(parameters, f"layers.{layer}", x)
        return self.head(parameters, x)

    def loss_sum(self, outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Cross entropy summed over counted targets, and their count."""
        loss = loss_of(self.spec)
        return losses_torch.total(loss, outputs, targets), losses_torch.counted(loss, targets)

    def embed(self, p: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        """X = embedding[tokens] + positions: (B, L) -> (B, L, D)."""
        x = functional.embedding(inputs, p["embedding"])
        table = self.positions(p, x)
        return x if table is None else x + table

    def positions(self, p: Parameters, x: torch.Tensor) -> torch.Tensor | None:
        """What is added to the embedding x (B, L, D): (L, D), or None."""
        length = x.shape[1]
        if self.spec.positions == "sinusoidal":
            return self.tables(length, x)[0]
        if self.spec.positions != "learned":
            return None
        if length > len(p["positions"]):
            raise HarnessError(decoder.too_long(length, len(p["positions"])))
        return p["positions"][:length]

    def block(self, p: Parameters, name: str, x: torch.Tensor) -> torch.Tensor:
        """X = x + attend(norm(x)), then x = x + feed_forward(norm(x))."""
        x = self.residual(x, self.attend(p, f"{name}.attention", self.norm(p, f"{name}.attention_norm", x)))
        return self.residual(x, self.feed_forward(p, f"{name}.mlp", self.norm(p, f"{name}.mlp_norm", x)))

    def residual(self, x: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
        """Y = x + update; in training, less what dropout takes out of the update."""
        if self.spec.dropout and self.training:  # in this order: without dropout, one graph serves both modes
            update = functional.dropout(update, self.spec.dropout)
        return x + update

    def norm(self, p: Parameters, name: str, x: torch.Tensor) -> torch.Tensor:
        """Layer norm or RMS norm over the features."""
        shape, weight, eps = (self.spec.width,), p[f"{name}.weight"], self.spec.norm_eps
        if self.spec.norm == "rmsnorm":
            return functional.rms_norm(x, shape, weight, eps)
        return functional.layer_norm(x, shape, weight, p[f"{name}.bias"], eps)

    def linear(self, p: Parameters, name: str, x: torch.Tensor) -> torch.Tensor:
        """Y = x W^T, + b where there is one."""
        return functional.linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))

    def attend(self, p: Parameters, name: str, x: torch.Tensor) -> torch.Tensor:
        """Causal self-attention: (B, L, D) -> (B, L, D)."""
        query = self.rotate(self.split(self.linear(p, f"{name}.query", x)))
        key = self.rotate(self.split(self.linear(p, f"{name}.key", x)))
        value = self.split(self.linear(p, f"{name}.value", x))
        joined = self.join(self.mix(query, key, value))
        return self.linear(p, f"{name}.output", joined) if self.spec.attention_output else joined

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """Heads apart: (B, L, heads A) -> (B, heads, L, A)."""
        return x.reshape(*x.shape[:2], -1, decoder.head_size(self.spec)).transpose(1, 2)

    def join(self, x: torch.Tensor) -> torch.Tensor:
        """Heads together: (B, heads, L, A) -> (B, L, heads A)."""
        return x.transpose(1, 2).flatten(2)

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary positions on (B, heads, L, A); x itself where there are none."""
        if self.spec.positions != "rotary":
            return x
        cosine, sine = self.tables(x.shape[2], x)
        first, second = x.chunk(2, dim=-1)
        return x * cosine + torch.cat([-second, first], dim=-1) * sine

    def mix(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Y = softmax(q k^T / sqrt(A), causal) v; query (B, H, L, A), key and value (B, K, L, A)."""
        return functional.scaled_dot_product_attention(
            query, key, value, is_causal=self.causal, enable_gqa=self._grouped
        )

    def feed_forward(self, p: Parameters, name: str, x: torch.Tensor) -> torch.Tensor:
        """down(gelu(up(x))), or down(silu(gate(x)) up(x)) for swiglu."""
        up = self.linear(p, f"{name}.up", x)
        if self.spec.activation == "swiglu":
            hidden = functional.silu(self.linear(p, f"{name}.gate", x)) * up
        else:
            hidden = functional.gelu(up, approximate="tanh")
        return self.linear(p, f"{name}.down", hidden)

    def head(self, p: Parameters, x: torch.Tensor) -> torch.Tensor:
        """Logits = norm(x) head^T: (B, L, D) -> (B, L, V)."""
        h = self.norm(p, "final_norm", x) if self.spec.final_norm else x
        return functional.linear(h, p["embedding" if self.spec.tied else "head.weight"])

    def tables(self, length: int, like: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The fixed tables for this length: one (L, D) of positions, or cosine and sine (L, A); made once.

        A compiled model makes them within its graph: to look for them would make a graph for each length.
        """
        if torch.compiler.is_compiling():
            return self._make_tables(length, like)
        key = (length, like.dtype, like.device)
        if key not in self._tables:
            if len(self._tables) >= 8:
                self._tables.clear()  # a text that grows by tokens must not leave a table for each length
            self._tables[key] = self._make_tables(length, like)
        return self._tables[key]

    def _make_tables(self, length: int, like: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.spec.positions == "sinusoidal":
            return (torch.from_numpy(positions.sinusoidal(length, self.spec.width)).to(like),)
        cosine, sine = positions.rotary(length, decoder.head_size(self.spec), self.spec.rope_theta)
        return torch.from_numpy(cosine).to(like), torch.from_numpy(sine).to(like)

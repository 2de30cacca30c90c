"""The decoder family: what its parameters are called, their shapes, and how they start. Computes nothing.

    x = embedding[tokens] + positions
    x = x + attention(norm(x));  x = x + feed_forward(norm(x))      once a layer
    logits = final_norm(x) head^T                                   head = embedding when tied

Pre-norm blocks as in GPT-2 (Radford et al., 2019) and, with rmsnorm, swiglu, rotary and kv_heads, as in Llama
(Touvron et al., 2023), whose weights fit as they are. A linear weight is (outputs, inputs). Legend: V
vocabulary, D width, L sequence, H heads, K key/value heads, A head size (H A = D), F hidden.

- Attention: softmax(q k^T / sqrt(A)) v over the positions up to one's own; query head h reads key/value head
  h // (H/K). Without `attention_output` the joined heads are the result.
- Activation `gelu`: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel, 2016; GPT-2), in
  every backend. It differs from the erf form by up to 5e-4. `swiglu`: down(silu(gate(x)) up(x)) (Shazeer,
  2020).
- Positions: see `harness.models.positions`. The embedding is not multiplied by sqrt(D).
"""

from collections.abc import Iterator

from harness.models.tensor import Tensor, linear
from harness.spec import Decoder


def head_size(spec: Decoder) -> int:
    """Numbers in one head, A."""
    return spec.width // spec.heads


def kv_heads(spec: Decoder) -> int:
    """Key/value heads, K: as many as query heads unless stated."""
    return spec.kv_heads or spec.heads


def hidden_size(spec: Decoder) -> int:
    """Width of the feed-forward network, F: as stated, else 4 D; for swiglu 8/3 D, to a multiple of 8.

    With three matrices in place of two, 8/3 D keeps the number of parameters (Shazeer, 2020).
    """
    if spec.hidden is not None:
        return spec.hidden
    return 4 * spec.width if spec.activation == "gelu" else max(8, 8 * round(spec.width / 3))


def describe(spec: Decoder, sequence: int) -> tuple[Tensor, ...]:
    """All parameters, in the order in which the model uses them."""
    return tuple(_describe(spec, sequence))


def _describe(spec: Decoder, sequence: int) -> Iterator[Tensor]:
    yield Tensor(name="embedding", shape=(spec.vocab, spec.width), std=spec.init_std)
    if spec.positions == "learned":
        yield Tensor(name="positions", shape=(sequence, spec.width), std=spec.init_std)
    for layer in range(spec.layers):
        yield from _norm(spec, f"layers.{layer}.attention_norm")
        yield from _attention(spec, f"layers.{layer}.attention")
        yield from _norm(spec, f"layers.{layer}.mlp_norm")
        yield from _feed_forward(spec, f"layers.{layer}.mlp")
    if spec.final_norm:
        yield from _norm(spec, "final_norm")
    if not spec.tied:
        yield Tensor(name="head.weight", shape=(spec.vocab, spec.width), std=spec.init_std)


def _norm(spec: Decoder, name: str) -> Iterator[Tensor]:
    yield Tensor(name=f"{name}.weight", shape=(spec.width,), init="ones")
    if spec.norm == "layernorm":
        yield Tensor(name=f"{name}.bias", shape=(spec.width,), init="zeros")


def _attention(spec: Decoder, name: str) -> Iterator[Tensor]:
    heads = {"query": spec.heads, "key": kv_heads(spec), "value": kv_heads(spec)}
    rows = {part: number * head_size(spec) for part, number in heads.items()}
    if spec.attention_output:
        rows["output"] = spec.width
    for part, outputs in rows.items():
        yield from linear(f"{name}.{part}", outputs, spec.width, spec.init_std, bias=spec.attention_bias)


def _feed_forward(spec: Decoder, name: str) -> Iterator[Tensor]:
    hidden, std, bias = hidden_size(spec), spec.init_std, spec.mlp_bias
    if spec.activation == "swiglu":
        yield from linear(f"{name}.gate", hidden, spec.width, std, bias=bias)
    yield from linear(f"{name}.up", hidden, spec.width, std, bias=bias)
    yield from linear(f"{name}.down", spec.width, hidden, std, bias=bias)


def too_long(length: int, held: int) -> str:
    """The message for a text longer than its learned positions."""
    return (
        f"decoder: {length} tokens given, learned positions hold {held}; give fewer or raise config.sequence"
    )

"""What a case may train: the families of models, as frozen types whose fields are the keys of a case file."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Lt

from harness.units import Finite, Positive, Whole

Count = Annotated[int, Whole(), Ge(1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoder:
    """A transformer decoder: pre-norm blocks of causal attention and a feed-forward network.

    dropout: the share of each residual update that is set to zero in training, the rest scaled up to make
    up for it.
    """

    vocab: Count
    width: Count
    layers: Count
    heads: Count
    kv_heads: Count | None = None
    hidden: Count | None = None
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    norm_eps: Positive = 1e-5
    activation: Literal["gelu", "swiglu"] = "gelu"
    positions: Literal["none", "sinusoidal", "learned", "rotary"] = "sinusoidal"
    rope_theta: Positive = 10_000.0
    attention_output: bool = True
    attention_bias: bool = False
    mlp_bias: bool = True
    final_norm: bool = True
    tied: bool = True
    init_std: Positive = 0.02
    dropout: Annotated[float, Finite(), Ge(0), Lt(1)] = 0.0

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be."""
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads ({self.kv_heads}) must divide heads ({self.heads})")
        if self.positions == "rotary" and (self.width // self.heads) % 2:
            raise ValueError(f"rotary positions need an even head size, got {self.width // self.heads}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mlp:
    """A multi-layer perceptron. Loss: mean squared error (regression) or cross entropy (classification)."""

    inputs: Count
    hidden: tuple[Count, ...]
    outputs: Count
    activation: Literal["relu", "gelu", "tanh"] = "gelu"
    task: Literal["regression", "classification"] = "regression"


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderModel:
    """`model: {decoder: {...}}`."""

    decoder: Decoder


@dataclass(frozen=True, kw_only=True, slots=True)
class MlpModel:
    """`model: {mlp: {...}}`."""

    mlp: Mlp


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """A training engine in C, and the decoder that it is meant to compute.

    source: C files or one shared library, relative to the case's folder, or `builtin` for our own engine.
    flags: of the compiler. `harness/native/engine.h` is the interface.
    """

    decoder: Decoder
    source: str | tuple[str, ...] = "builtin"
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what names nothing."""
        if not self.sources or not all(self.sources):
            raise ValueError("source names no file; expected engine.c, [a.c, b.c], engine.so or builtin")

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources as a list, also where there is one."""
        return (self.source,) if isinstance(self.source, str) else self.source


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryModel:
    """`model: {library: {...}}`: to all but what runs the library, it is the decoder."""

    library: Library

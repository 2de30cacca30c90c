"""The model families: each described once, computed in NumPy (the reference), in torch and in JAX.

`<family>.py` names the parameters, `<family>_numpy.py` writes forward and backward out, `<family>_torch.py`
and `<family>_jax.py` are the same mathematics for their frameworks to differentiate. Importing this package
loads no framework.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from harness.model import Array, Float64
from harness.models import decoder, mlp
from harness.models.tensor import Tensor, initial
from harness.spec import Computed, DecoderModel

if TYPE_CHECKING:
    import jax
    import torch

__all__ = [
    "JaxModel",
    "NumpyModel",
    "Tensor",
    "TorchModel",
    "count",
    "describe",
    "initial",
    "jax_model",
    "numpy_model",
    "torch_model",
]


class NumpyModel(Protocol):
    """A family in NumPy, float64: gradients are written out by hand."""

    names: tuple[str, ...]

    def forward(self, parameters: Mapping[str, Float64], inputs: Array) -> tuple[Float64, Any]:
        """Outputs (B, L, V) or (B, O), and the tape that `backward` needs."""
        ...

    def backward(
        self, parameters: Mapping[str, Float64], tape: Any, d_outputs: Float64
    ) -> dict[str, Float64]:
        """Gradients of every parameter from the gradient of the outputs."""
        ...

    def loss_sum(self, outputs: Float64, targets: Array) -> tuple[float, int, Float64]:
        """Summed loss, counted targets, and the gradient of the sum with respect to the outputs."""
        ...


class TorchModel(Protocol):
    """A family in torch: a function of a dict of tensors, of any floating dtype and on any device.

    training: whether what is meant for training alone, as dropout, acts.
    """

    names: tuple[str, ...]
    training: bool

    def __call__(self, parameters: "Mapping[str, torch.Tensor]", inputs: "torch.Tensor") -> "torch.Tensor":
        """Outputs (B, L, V) or (B, O)."""
        ...

    def loss_sum(self, outputs: "torch.Tensor", targets: "torch.Tensor") -> "tuple[torch.Tensor, int]":
        """Summed loss, a scalar under autograd, and counted targets."""
        ...


class JaxModel(Protocol):
    """A family in JAX: a pure function of a dict of arrays of any floating dtype."""

    names: tuple[str, ...]

    def __call__(self, parameters: "Mapping[str, jax.Array]", inputs: "jax.Array") -> "jax.Array":
        """Outputs (B, L, V) or (B, O)."""
        ...

    def loss_sum(self, outputs: "jax.Array", targets: "jax.Array") -> "jax.Array":
        """Summed loss, a scalar."""
        ...


def describe(model: Computed, sequence: int) -> tuple[Tensor, ...]:
    """The parameters of a model in a fixed order. sequence: tokens a sample; learned positions need it."""
    if isinstance(model, DecoderModel):
        return decoder.describe(model.decoder, sequence)
    return mlp.describe(model.mlp)


def count(model: Computed, sequence: int) -> int:
    """How many numbers a model learns; a tied embedding counts once."""
    return sum(tensor.size for tensor in describe(model, sequence))


def numpy_model(model: Computed, sequence: int) -> NumpyModel:
    """The float64 reference of a model."""
    if isinstance(model, DecoderModel):
        from harness.models.decoder_numpy import NumpyDecoder  # noqa: PLC0415 - only what is asked for

        return NumpyDecoder(model.decoder, sequence)
    from harness.models.mlp_numpy import NumpyMlp  # noqa: PLC0415 - only what is asked for

    return NumpyMlp(model.mlp)


def torch_model(model: Computed, sequence: int) -> TorchModel:
    """A model in torch. Imports torch."""
    if isinstance(model, DecoderModel):
        from harness.models.decoder_torch import TorchDecoder  # noqa: PLC0415 - imports torch

        return TorchDecoder(model.decoder, sequence)
    from harness.models.mlp_torch import TorchMlp  # noqa: PLC0415 - imports torch

    return TorchMlp(model.mlp)


def jax_model(model: Computed, sequence: int) -> JaxModel:
    """A model in JAX. Imports jax."""
    if isinstance(model, DecoderModel):
        from harness.models.decoder_jax import JaxDecoder  # noqa: PLC0415 - imports jax

        return JaxDecoder(model.decoder, sequence)
    from harness.models.mlp_jax import JaxMlp  # noqa: PLC0415 - imports jax

    return JaxMlp(model.mlp)

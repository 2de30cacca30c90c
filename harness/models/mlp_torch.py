"""The multi-layer perceptron in torch: a function of a dict of tensors, part by part that of NumPy."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch.nn import functional

from harness.models import losses_torch, mlp
from harness.models.losses import loss_of
from harness.spec import Mlp

Parameters = Mapping[str, torch.Tensor]

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu,
    "gelu": partial(functional.gelu, approximate="tanh"),
    "tanh": torch.tanh,
}


class TorchMlp:
    """`outputs = model(parameters, inputs)` of `harness.models.mlp`. Legend: B batch, F inputs, O outputs."""

    def __init__(self, spec: Mlp) -> None:
        self.spec = spec
        self.training = True
        self.names = tuple(tensor.name for tensor in mlp.describe(spec))

    def __call__(self, parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs (B, O) of inputs (B, F), in the dtype of the parameters."""
        x = inputs.to(parameters["output.weight"].dtype)
        for layer in range(len(self.spec.hidden)):
            x = self.layer(parameters, f"hidden.{layer}", x)
        return self.linear(parameters, "output", x)

    def loss_sum(self, outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, int]:
        """The task's loss summed over counted targets, and their count."""
        loss = loss_of(self.spec)
        return losses_torch.total(loss, outputs, targets), losses_torch.counted(loss, targets)

    def layer(self, p: Parameters, name: str, x: torch.Tensor) -> torch.Tensor:
        """Y = activation(x W^T + b)."""
        return self.activate(self.linear(p, name, x))

    def activate(self, z: torch.Tensor) -> torch.Tensor:
        """relu, gelu or tanh."""
        return ACTIVATIONS[self.spec.activation](z)

    def linear(self, p: Parameters, name: str, x: torch.Tensor) -> torch.Tensor:
        """Y = x W^T + b."""
        return functional.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

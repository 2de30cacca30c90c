"""Is a gradient the derivative of what a model computes? Central differences in float64, on a copy."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from harness.watching.tensors import first_tensor

if TYPE_CHECKING:
    from harness.watching.replay import LastCall

MOST_TENSORS = 40
"""So many of a model's tensors have their gradient held against central differences."""


def derivative(twin: Any, call: "LastCall") -> dict[str, Any]:
    """By tensor, the slope along its gradient over the one that the gradient tells; 1 if right."""
    exact = copy.deepcopy(twin).double().eval()
    args = tuple(_double(each) for each in call.args)
    kwargs = {name: _double(each) for name, each in call.kwargs.items()}
    tensors = [(name, each) for name, each in exact.named_parameters() if each.requires_grad]

    def loss() -> Any:
        """A smooth function of all outputs, in which none stands for another."""
        torch.manual_seed(0)
        output = first_tensor(exact(*args, **kwargs)).reshape(-1)
        return (output * torch.sin(torch.arange(len(output), device=output.device) + 1.0)).sum()

    first = loss()
    if float(first) != float(loss()):
        return {}
    first.backward()
    squares = {name: float((each.grad**2).sum()) for name, each in tensors if each.grad is not None}
    asked = [(name, each) for name, each in tensors if squares.get(name, 0) > 1e-8 * sum(squares.values())]
    ratios = {
        name: _slope(loss, each, squares[name]) / squares[name]
        for name, each in asked[:: max(1, len(asked) // MOST_TENSORS)]
    }
    return {"derivative": ratios}


def _slope(loss: Callable[[], Any], tensor: Any, squares: float) -> float:
    """How the loss changes along the gradient of a tensor, by central differences."""
    step = 1e-5 * max(float(tensor.detach().norm()), 1e-3) / squares**0.5
    values: list[float] = []
    with torch.no_grad():
        for sign in (1, -2):
            tensor.add_(tensor.grad, alpha=sign * step)
            values.append(float(loss()))
        tensor.add_(tensor.grad, alpha=step)
    return float((values[0] - values[1]) / (2 * step))


def _double(value: Any) -> Any:
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

"""Is a gradient the derivative of what a model computes? Central differences in float64, on a copy."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from harness.watching.tensors import first_tensor

if TYPE_CHECKING:
    from harness.watching.questions import LastCall

MOST_PARTS = 40
"""Parts of a model whose gradient is held against central differences."""


def derivative(twin: Any, call: "LastCall") -> dict[str, Any]:
    """By part of the model, the slope along its gradient over the one that the gradient tells; 1 if right."""
    exact = copy.deepcopy(twin).double().eval()
    args = tuple(_double(each) for each in call.args)
    kwargs = {name: _double(each) for name, each in call.kwargs.items()}
    parts: dict[str, list[Any]] = {}
    for name, each in exact.named_parameters():
        if each.requires_grad:
            parts.setdefault(".".join(name.split(".")[:-1]) or name, []).append(each)

    def loss() -> Any:
        """A smooth function of all outputs, in which none stands for another."""
        torch.manual_seed(0)
        output = first_tensor(exact(*args, **kwargs)).reshape(-1)
        return (output * torch.sin(torch.arange(len(output), device=output.device) + 1.0)).sum()

    first = loss()
    if float(first) != float(loss()):
        return {}
    first.backward()
    total = sum(float((p.grad**2).sum()) for each in parts.values() for p in each if p.grad is not None)
    ratios = {}
    for name, each in list(parts.items())[:MOST_PARTS]:
        own = sum(float((p.grad**2).sum()) for p in each if p.grad is not None)
        if own > 1e-8 * total:
            ratios[name] = _slope(loss, each, own) / own
    return {"derivative": ratios}


def _slope(loss: Callable[[], Any], tensors: list[Any], squares: float) -> float:
    """How the loss changes along the gradient of these tensors, by central differences."""
    size = max(float(torch.stack([each.detach().norm() for each in tensors]).norm()), 1e-3)
    step = 1e-5 * size / squares**0.5
    values: list[float] = []
    with torch.no_grad():
        for sign in (1, -2, 1):
            for each in tensors:
                if each.grad is not None:
                    each.add_(each.grad, alpha=sign * step)
            if sign != 1 or not values:
                values.append(float(loss()))
    return float((values[0] - values[1]) / (2 * step))


def _double(value: Any) -> Any:
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

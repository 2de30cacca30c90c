"""Is a gradient the derivative of what a model computes? Central differences in float64, on a copy."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from harness.watching.tensors import first_tensor

if TYPE_CHECKING:
    from harness.watching.replay import LastCall

CLEAR = 0.05
FLAT = 0.02
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
    uses, often = _uses(first), _called_often(exact, loss)
    first.backward()
    squares = {name: float((each.grad**2).sum()) for name, each in tensors if each.grad is not None}
    asked = [(name, each) for name, each in tensors if squares.get(name, 0) > 1e-8 * sum(squares.values())]
    others = [(name, each) for name, each in tensors if each.grad is None]
    ratios = {
        name: _slope(loss, each, squares[name]) / squares[name]
        for name, each in asked[:: max(1, len(asked) // MOST_TENSORS)]
    }
    for name, each in asked:
        if abs(ratios.get(name, 1.0) - 1) > CLEAR and _flat(loss, each):
            ratios[name] = 0.0
    return {
        "derivative": ratios,
        "cut": [name for name, each in others[:MOST_TENSORS] if _follows(loss, each)],
        "repeated": [name for name, each in tensors if uses.get(id(each), 0) > 2 or name in often],
    }


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


def _flat(loss: Callable[[], Any], tensor: Any) -> bool:
    """Whether the element with the largest gradient alone moves nothing, as where values are rounded."""
    at = tuple(int(each) for each in torch.unravel_index(tensor.grad.abs().argmax(), tensor.shape))
    step, values = 1e-5 * max(float(tensor.detach().abs().max()), 1e-3), []
    with torch.no_grad():
        element, slope = tensor[at], float(tensor.grad[at])
        for sign in (1, -2):
            element.add_(sign * step)
            values.append(float(loss()))
        element.add_(step)
    return abs((values[0] - values[1]) / (2 * step * slope)) < FLAT


def _follows(loss: Callable[[], Any], tensor: Any) -> bool:
    """Whether the outputs follow a tensor smoothly that no gradient reaches from them."""
    step = 1e-4 * max(float(tensor.detach().abs().max()), 1e-3)
    along = torch.cos(torch.arange(tensor.numel(), device=tensor.device).reshape(tensor.shape)).to(tensor)
    slopes = []
    with torch.no_grad():
        kept = tensor.clone()
        for size in (step, 0.5 * step):
            values = [float(loss()) for sign in (1, -1) if tensor.copy_(kept + sign * size * along) is tensor]
            slopes.append((values[0] - values[1]) / (2 * size))
        tensor.copy_(kept)
        scale = abs(float(loss()))
    return abs(slopes[0]) > 1e-4 * scale and abs(slopes[0] - slopes[1]) < 0.01 * abs(slopes[0])


def _uses(value: Any) -> dict[int, int]:
    """How many operations take each parameter, by identity."""
    found: dict[int, int] = {}
    seen, left = {value.grad_fn}, [value.grad_fn]
    while left:
        for node, _ in left.pop().next_functions:
            if node is None:
                continue
            if hasattr(node, "variable"):
                found[id(node.variable)] = found.get(id(node.variable), 0) + 1
            if node not in seen:
                seen.add(node)
                left.append(node)
    return found


def _called_often(model: Any, loss: Callable[[], Any]) -> set[str]:
    """Tensors of modules that a single call of the model calls several times, by name."""
    calls: dict[int, int] = {}

    def note(module: Any, *_: Any) -> None:
        calls[id(module)] = calls.get(id(module), 0) + 1

    handles = [each.register_forward_hook(note) for each in model.modules()]
    try:
        loss()
    finally:
        for handle in handles:
            handle.remove()
    often = {prefix for prefix, each in model.named_modules() if calls.get(id(each), 0) > 1}
    return {name for name, _ in model.named_parameters() if name.rpartition(".")[0] in often}


def _double(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    if type(value) is dict:
        return {name: _double(each) for name, each in value.items()}
    return type(value)([_double(each) for each in value]) if type(value) in (list, tuple) else value

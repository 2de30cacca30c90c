"""Questions about gradients: which tensors do they reach, and do they go back in time?"""

from typing import Any

import torch

from harness.watching.replay import LastCall, output_of, with_first
from harness.watching.tensors import first_tensor, tensors_in

MOST_UNFELT = 24


def reached(twin: Any, call: LastCall) -> dict[str, Any]:
    """Which tensors get a gradient when everything that the model gives counts?"""
    with torch.enable_grad():
        outputs = [each for each in tensors_in(twin.eval()(*call.args, **call.kwargs)) if each.requires_grad]
        sum(each.float().sum() for each in outputs).backward()  # type: ignore[union-attr]
    found = [name for name, each in twin.named_parameters() if each.grad is not None]
    for each in twin.parameters():
        each.grad = None
    return {"reached": found, "unfelt": _unfelt(twin, call, set(found))}


def _unfelt(twin: Any, call: LastCall, reached: set[str]) -> list[str]:
    """Tensors that no gradient reaches, and that may be anything without any output being another.

    A copy may call layers of the model that it was made of, where functions hold on to those: what is not at
    work in the copy is not asked about.
    """
    before, working = _at_work(twin, call)
    others = [
        (name, each)
        for name, each in twin.named_parameters()
        if name not in reached and each.requires_grad and any(part in working for part in _owners(name))
    ]
    found = []
    for name, each in others[:MOST_UNFELT]:
        with torch.no_grad():
            kept = each.clone()
            each.add_(1.0).mul_(-2.0)
        if torch.equal(output_of(twin, call), before):
            found.append(name)
        with torch.no_grad():
            each.copy_(kept)
    return found


def _at_work(twin: Any, call: LastCall) -> tuple[Any, set[str]]:
    """The output, and names of the modules that were called for it."""
    working: set[str] = set()
    handles = [
        module.register_forward_hook(lambda _, __, ___, name=name: working.add(name))
        for name, module in twin.named_modules()
    ]
    try:
        return output_of(twin, call), working
    finally:
        for handle in handles:
            handle.remove()


def _owners(name: str) -> list[str]:
    """The module of a tensor, and the two around it, which may use it without a call."""
    parts = name.split(".")[:-1]
    return [".".join(parts[: len(parts) - up]) for up in range(min(3, len(parts) + 1))]


def through_time(twin: Any, call: LastCall) -> dict[str, Any]:
    """Of a series: do earlier values move the last output, and is its gradient for them exactly zero?"""
    series = call.inputs
    if series is None or series.dim() not in (2, 3) or min(series.shape[:2]) < 4:
        return {}
    if (series.dim() == 3) != series.is_floating_point() or call.shape[0] not in series.shape[:2]:
        return {}
    axis = 1 if call.shape[0] == series.shape[0] else 0  # of time; of outputs that have it too, the last
    gradients = _by_time(twin.eval(), call, series, axis)
    if len(gradients) != series.shape[axis]:
        return {}
    earlier = [series.narrow(axis, 0, len(gradients) - 1), series.narrow(axis, len(gradients) - 1, 1)]
    other = torch.cat([earlier[0].flip(1 - axis), earlier[1]], axis)
    with torch.no_grad():
        before, after = (_last_output(twin, call, each, axis) for each in (series, other))
    moved = float((after - before).abs().max()) > 1e-4 * max(float(before.abs().max()), 1e-12)
    return {"time_cut": moved and not any(gradients[:-1]) and gradients[-1] > 0}


def _by_time(twin: Any, call: LastCall, series: Any, axis: int) -> list[float]:
    """How large the gradient of the last output is for each step of a series, or for its embedded tokens."""
    embedded: list[Any] = []
    handles = [
        each.register_forward_hook(lambda _, __, output: embedded.append(output))
        for each in twin.modules()
        if isinstance(each, torch.nn.Embedding)
    ]
    with torch.enable_grad():
        if series.is_floating_point():
            series = series.detach().clone().requires_grad_(True)
        total = _last_output(twin, call, series, axis).sum()
        for handle in handles:
            handle.remove()
        asked = [series] if series.is_floating_point() else embedded
        found: list[Any] = list(torch.autograd.grad(total, asked, allow_unused=True))
    if len(asked) == 1 and found[0] is not None and found[0].dim() == 3:
        return [float(each.abs().sum()) for each in found[0].unbind(axis)]
    return [0.0 if each is None else float(each.abs().sum()) for each in found]


def _last_output(twin: Any, call: LastCall, series: Any, axis: int) -> Any:
    args, kwargs = with_first(call, series)
    output = first_tensor(twin(*args, **kwargs)).float()
    has_time = output.dim() == 3 and output.shape[:2] == series.shape[:2]
    return output.select(axis, -1) if has_time else output

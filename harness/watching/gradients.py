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
    """Tensors that no gradient reaches, and that may be anything without any output being another."""
    others = [
        (name, each) for name, each in twin.named_parameters() if name not in reached and each.requires_grad
    ]
    before, found = output_of(twin, call), []
    for name, each in others[:MOST_UNFELT]:
        with torch.no_grad():
            kept = each.clone()
            each.add_(1.0).mul_(-2.0)
        if torch.equal(output_of(twin, call), before):
            found.append(name)
        with torch.no_grad():
            each.copy_(kept)
    return found


def through_time(twin: Any, call: LastCall) -> dict[str, Any]:
    """Of a series: do earlier values move the last output, and is its gradient for them exactly zero?"""
    series = call.inputs
    if series is None or not series.is_floating_point() or series.dim() != 3 or min(series.shape[:2]) < 4:
        return {}
    axis = 0 if call.shape[0] == series.shape[0] else 1
    if call.shape[0] not in series.shape[:2]:
        return {}
    # Time is the other axis: of outputs that have it too, the last one is asked.
    series, time_axis = series.detach().clone().requires_grad_(True), 1 - axis
    with torch.enable_grad():
        output = _last_output(twin.eval(), call, series, time_axis)
        (gradient,) = torch.autograd.grad(output.sum(), series)
    by_time = gradient.abs().sum(dim=(axis, 2))
    other = series.detach().clone()
    other.narrow(time_axis, 0, len(by_time) - 1).mul_(-1)
    with torch.no_grad():
        moved = float((_last_output(twin, call, other, time_axis) - output).abs().max())
    cut = bool((by_time[:-1] == 0).all()) and bool(by_time[-1] > 0)
    return {"time_cut": cut and moved > 1e-4 * max(float(output.abs().max()), 1e-12)}


def _last_output(twin: Any, call: LastCall, series: Any, axis: int) -> Any:
    args, kwargs = with_first(call, series)
    output = first_tensor(twin(*args, **kwargs)).float()
    has_time = output.dim() == 3 and output.shape[:2] == series.shape[:2]
    return output.select(axis, -1) if has_time else output

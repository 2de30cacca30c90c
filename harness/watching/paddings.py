"""Questions about samples of different lengths, and about models that draw random numbers."""

from typing import Any

import torch

from harness.watching.replay import LastCall, mapped, output_of
from harness.watching.tensors import first_tensor, is_mask, tensors_in

REPEATS = 8
"""Calls of a model that gives each time another output."""
LEAST_ROWS = 8


def cut_shorter(twin: Any, call: LastCall) -> dict[str, Any]:
    """Do samples give the same without the padding behind them that longer ones of their batch ask for?

    Of a batch (B, T, ...) that is padded to its longest, the shorter half is called again, cut to its own.
    Where every batch is padded to one length, a model may count on that, unless it is told where samples end.
    """
    inputs, lengths = call.inputs, ends(call.inputs)
    if lengths is None or call.shape[0] != len(inputs) or not (call.widths > 1 or _told(call, lengths)):
        return {}
    width = int(lengths.median())
    rows = lengths <= width
    if width == inputs.shape[1] or width < 2 or int(rows.sum()) < 2:
        return {}

    def cut(value: torch.Tensor) -> torch.Tensor:
        if not value.dim() or len(value) != len(inputs):
            return value
        whole = value.dim() > 1 and value.shape[1] == inputs.shape[1]
        return value[rows, :width] if whole else value[rows]

    before = output_of(twin.eval(), call)
    after = output_of(twin, call, mapped(call.args, cut), mapped(dict(call.kwargs), cut))
    before, spread = before[rows], float((before - before.mean(0)).abs().max())
    if before.dim() > 2 and before.shape[1] == inputs.shape[1]:
        real = torch.arange(width, device=before.device)[None, :] < lengths[rows, None]
        before, after = before[:, :width][real], after[real]
    if before.shape != after.shape:
        return {}
    moved = (after - before).abs().reshape(len(before), -1).amax(1)
    return {"padding_moves": float(moved.median()) / max(spread, 1e-12)}


def _told(call: LastCall, lengths: torch.Tensor) -> bool:
    """Whether the model is given the lengths, or a mask of the padding."""
    width = call.inputs.shape[1]
    for each in tensors_in([*call.args, *call.kwargs.values()]):
        if each.shape == lengths.shape and bool((each.to(lengths.device) == lengths).all()):
            return True
        if each is not call.inputs and is_mask(each, call.inputs) and each.dim() == 2:
            marked = (each != 0).sum(1)
            return bool((marked == lengths).all() or (marked == width - lengths).all())
    return False


def ends(inputs: Any) -> Any:
    """How long each sample is (B,) without the padding at its end, or None.

    Padding: zeros of a series (B, T, C); of tokens (B, T), the one id that stands nowhere else and makes ends
    of different lengths. One sample at least has none.
    """
    if not isinstance(inputs, torch.Tensor) or inputs.dim() not in (2, 3) or len(inputs) < 4:
        return None
    if inputs.is_floating_point() != (inputs.dim() == 3) or inputs.shape[1] < 4:
        return None
    filled = (inputs == 0).all(2) if inputs.dim() == 3 else inputs == inputs[:, -1].mode().values
    runs = filled.flip(1).long().cumprod(1).sum(1)
    apart = int(runs.sum()) == int(filled.sum()) and int(runs.min()) == 0 and len(runs.unique()) > 2
    return inputs.shape[1] - runs if apart else None


def tells_apart(twin: Any, call: LastCall) -> dict[str, Any]:
    """Of outputs that are drawn anew each time, what share of their variance comes from the samples?"""
    if call.target is None or call.target.shape != call.shape or len(call.target) < LEAST_ROWS:
        return {}
    twin.eval()
    outputs = []
    with torch.no_grad():
        for number in range(REPEATS):
            torch.manual_seed(number)
            outputs.append(first_tensor(twin(*call.args, **call.kwargs)).float())
    each = torch.stack(outputs)  # (repeats, samples, ...)
    own = float(each.var(0).mean())
    if not own or not bool((call.target.float().std(0) > 0).any()):
        return {}
    # The mean of a few draws still varies by a share of what each of them does.
    between = max(0.0, float(each.mean(0).var(0).mean()) - own / REPEATS)
    return {"told_apart": between / (between + own)}

"""Questions about rows of tokens: which places does one of them reach, and is the answer among them?"""

from dataclasses import replace
from typing import Any

import torch

from harness.watching.replay import LastCall, output_of, with_first
from harness.watching.tensors import is_tokens, padding, shifts_of, tensors_in


def positions(twin: Any, call: LastCall) -> dict[str, Any]:
    """Of tokens: which positions does one of them reach? Time is the axis along which it reaches any."""
    inputs = call.inputs
    before = _by_token(output_of(twin.eval(), call), inputs) if is_tokens(inputs) else None
    if before is None or min(inputs.shape) < 2:
        return {}
    moved = [_moved(twin, call, inputs, before, share) for share in (0.5, 0.7)]
    reached = [max(_off(each, axis, at) for each, at in moved) for axis in (0, 1)]
    axis = int(reached[1] >= reached[0])
    if inputs.shape[axis] < 4:
        return {}
    return {
        "place_matters": _place_matters(twin, call, inputs, axis),
        "earlier": max(float(_line(each, axis, at)[: at[axis]].max()) for each, at in moved),
        "later": max(float(_line(each, axis, at)[at[axis] + 1 :].max()) for each, at in moved),
        "own": max(float(each[at]) for each, at in moved),
    }


def _moved(twin: Any, call: LastCall, inputs: Any, before: Any, share: float) -> tuple[Any, tuple[int, int]]:
    """How far each output moves when one token changes: relative, in the shape of the inputs; and where."""
    row, column = (min(size - 2, max(1, int(share * size))) for size in inputs.shape)
    pads = padding(tensors_in([*call.args, *call.kwargs.values()]))
    if pads is not None:  # what is masked moves nothing
        row = int(pads.sum(1).argmin())
        column = max(1, int(share * (~pads[row]).sum()) - 1)
    changed = inputs.clone()
    other = inputs[inputs != inputs[row, column]]
    if len(other):
        changed[row, column] = other[0]
    after = _by_token(output_of(twin, call, *with_first(call, changed)), inputs)
    size = max(float(before.abs().max()), 1e-12)
    # Where nothing is to be predicted, as within a prompt, everything may be seen.
    return (after - before).abs().amax(-1) * _predicted(call, inputs) / size, (row, column)


def _predicted(call: LastCall, inputs: Any) -> Any:
    """1 at the places of the inputs that have a target, 0 at the others."""
    told = torch.ones(inputs.shape, device=inputs.device)
    if call.target is None or call.target.numel() % len(inputs):
        return told
    counted = call.target.reshape(len(inputs), -1) >= 0
    if inputs.shape[1] - 1 <= counted.shape[1] <= inputs.shape[1]:
        told[:, : counted.shape[1]] = counted
    return told


def _place_matters(twin: Any, call: LastCall, inputs: Any, axis: int) -> bool:
    """Of one token again and again: does the model give different outputs at different places?"""
    same = torch.full_like(inputs, int(inputs.reshape(-1)[0]))
    after = _by_token(output_of(twin, call, *with_first(call, same)), inputs)
    first = after.select(axis, 0).unsqueeze(axis)
    return bool(((after - first).abs() > 1e-5 * after.abs().max()).any())


def _by_token(output: Any, inputs: Any) -> Any:
    """Outputs laid out as the tokens are, (*inputs.shape, V); None where they are not one row a token."""
    if tuple(output.shape[:2]) == tuple(inputs.shape) and output.dim() == 3:
        return output
    if output.dim() == 3 and (output.shape[0], output.shape[2]) == tuple(inputs.shape):
        return output.movedim(1, -1)
    if output.dim() == 2 and len(output) == inputs.numel():
        return output.reshape(*inputs.shape, -1)
    return None


def _line(moved: Any, axis: int, at: tuple[int, int]) -> Any:
    return moved[:, at[1]] if axis == 0 else moved[at[0]]


def _off(moved: Any, axis: int, at: tuple[int, int]) -> float:
    """The farthest that an output on this line moves, other than the token's own."""
    line = _line(moved, axis, at).clone()
    line[at[axis]] = 0
    return float(line.max())


def given_answer(twin: Any, call: LastCall) -> dict[str, Any]:
    """Does another input hold the very targets, each where it is to be predicted, and reach that output?"""
    if call.target is None or call.target.is_floating_point():
        return {}
    before = output_of(twin.eval(), call)
    for number, given in enumerate(call.args):
        if given is call.inputs or not is_tokens(given) or _same_place(given, call.target) < 0.95:
            continue
        rows, column = range(len(given)), given.shape[1] // 2
        changed = given.clone()
        changed[:, column] = given.flip(0)[:, column]
        after = output_of(twin, replace(call, args=(*call.args[:number], changed, *call.args[number + 1 :])))
        moved = _by_token((after - before).abs(), given)
        if moved is not None and len(rows) > 1:
            return {"answer_given": float(moved[:, column].max()) / max(float(before.abs().max()), 1e-12)}
    return {}


def _same_place(given: Any, target: Any) -> float:
    return shifts_of(given, target).get(0, 0.0)

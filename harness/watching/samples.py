"""Questions about samples: does one depend on the others of its batch, or on the place where it stands?"""

from typing import Any

import torch

from harness.watching.replay import LastCall, mapped, output_of, with_first
from harness.watching.tensors import first_tensor, tensors_in

NEAR = 1e-5
FAR = 1e-2
"""Of the largest output: what is moved, and not only calculated in another order."""


def isolated(twin: Any, call: LastCall) -> dict[str, Any]:
    """Does one sample's output depend on another sample?"""
    rows = _samples(call)
    if not rows:
        return {}
    before = output_of(twin.eval(), call)
    changed = call.inputs.clone()
    changed[0] = call.inputs[1]
    if bool((changed[0] == call.inputs[0]).all()):
        return {}
    after = output_of(twin, call, *with_first(call, changed))
    if after.shape != before.shape:
        return {}
    size = max(float(before.abs().max()), 1e-12)
    return {
        "other_samples": float((after[2:] - before[2:]).abs().max()) / size,
        "own_sample": float((after[0] - before[0]).abs().max()) / size,
        "related": _related(twin, call, rows),
    }


def felt(twin: Any, call: LastCall) -> dict[str, Any]:
    """The largest gradient of the others' outputs for one sample, or for what the first layer makes of it.

    What couples samples by a statistic without a gradient, as the scale of a quantiser, leaves it at zero.
    """
    rows = _samples(call)
    if not rows:
        return {}
    # A recurrent net of cuDNN has no gradient in evaluation mode.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        others, asked = _others_and_inputs(twin.eval(), call, rows)
        # Weighed differently: of a sum, what a softmax takes from one it gives to the next.
        total = (others * torch.sin(torch.arange(len(others), device=others.device) + 1.0)).sum()
        found: Any = torch.autograd.grad(total, asked, allow_unused=True) if asked else ()
    return {
        "others_felt": max((float(each[0].abs().max()) for each in found if each is not None), default=0.0)
    }


def _others_and_inputs(twin: Any, call: LastCall, rows: int) -> tuple[Any, list[Any]]:
    """The outputs of all but two samples, and what came in, or first from a layer, and has a gradient."""
    made: list[Any] = []
    layers = [each for each in twin.modules() if next(each.children(), None) is None]
    handles = [each.register_forward_hook(lambda _, __, output: made.append(output)) for each in layers]
    inputs = call.inputs.detach().clone()
    inputs = inputs.requires_grad_() if inputs.is_floating_point() else inputs
    try:
        args, kwargs = with_first(call, inputs.clone())
        output = first_tensor(twin(*args, **kwargs)).float()
    finally:
        for handle in handles:
            handle.remove()
    firsts = [each for each in made if _by_row(each, rows)][:1]
    return output[2:].reshape(-1), [each for each in (inputs, *firsts) if each.requires_grad]


def place_in_batch(twin: Any, call: LastCall) -> dict[str, Any]:
    """Of samples that see nothing of each other: what share has another output one place further on?"""
    rows = len(call.inputs) if call.inputs is not None and call.inputs.dim() else 0
    if call.target is None or rows < 4 or call.shape[0] != rows or call.target.numel() % rows:
        return {}
    if _related(twin, call, rows) or not _orderable(call, rows) or _one_for_each_row(twin, rows):
        return {}
    before = output_of(twin.eval(), call)
    size = max(float(before.abs().max()), 1e-12)
    further = torch.arange(rows, device=before.device).roll(1)
    moved = (_in_order(twin, call, further) - before[further]).abs().reshape(rows, -1).amax(1)
    if _changes_otherwise(twin, call, before) > NEAR * size:
        return {}
    return {"moved_by_place": float((moved > FAR * size).float().mean())}


def _changes_otherwise(twin: Any, call: LastCall, before: Any) -> float:
    """How far outputs move that stay at their place: among other samples, or with nothing changed at all.

    A recurrent net whose first axis is time shows here, experts that take who comes first, and memories.
    """
    among = torch.ones(len(before), dtype=torch.long, device=before.device)
    among[0], among[-1] = 0, len(before) - 1
    moved = (_in_order(twin, call, among) - before)[[0, -1]]
    return max(float(moved.abs().max()), float((output_of(twin, call) - before).abs().max()))


def _in_order(twin: Any, call: LastCall, order: Any) -> Any:
    """The output for these of the samples, in this order."""

    def taken(value: Any) -> Any:
        return value[order.to(value.device)] if value.dim() and len(value) == len(order) else value

    return output_of(twin, call, mapped(tuple(call.args), taken), mapped(dict(call.kwargs), taken))


def _orderable(call: LastCall, rows: int) -> bool:
    """Whether each argument has its samples in the first axis, or none."""
    if call.inputs.dim() > 1 and call.inputs.shape[1] == rows:
        return False
    return all(_plain(each, rows, call.inputs) for each in (*call.args, *call.kwargs.values()))


def _plain(value: Any, rows: int, inputs: Any) -> bool:
    if value is inputs or value is None or isinstance(value, bool | int | float | str):
        return True
    if isinstance(value, torch.Tensor):
        first = value.shape[0] if value.dim() else 1
        return rows not in value.shape[1:] and (first == rows or first % rows != 0)
    if type(value) in (list, tuple) and len(value) != rows:  # of `rows` it may be lengths, one a sample
        return all(_plain(each, rows, inputs) for each in value)
    return type(value) is dict and all(_plain(each, rows, inputs) for each in value.values())


def _one_for_each_row(twin: Any, rows: int) -> bool:
    """Does the model hold something for each row, as an ensemble does whose first axis is its members?"""
    lists = (torch.nn.ModuleList, torch.nn.ParameterList)
    for module in twin.modules():
        if isinstance(module, lists) and len(module) == rows:
            return True
        # A layer of torch's own has its units in that axis.
        if isinstance(module, lists) or not type(module).__module__.startswith("torch.nn.modules."):
            held = [*module.parameters(recurse=False), *module.buffers(recurse=False), *vars(module).values()]
            if any(isinstance(each, torch.Tensor) and each.dim() > 1 and len(each) == rows for each in held):
                return True
    return False


def _samples(call: LastCall) -> int:
    """How many samples a batch has, where its first axis is known to be that; else 0."""
    inputs = call.inputs
    rows = len(inputs) if inputs is not None and inputs.dim() else 0
    known = call.target is not None and rows >= 4 and call.shape[0] == rows and _target_rows(call) == rows
    return rows if known else 0


def _by_row(value: Any, rows: int) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad and value.dim() > 0 and len(value) == rows


def _related(twin: Any, call: LastCall, rows: int) -> bool:
    """Is the model told which samples belong together, by a table of pairs or a list of edges?"""
    given = tensors_in([*call.args, *call.kwargs.values(), *twin.buffers()])
    shapes = [(tuple(each.shape), each.is_floating_point()) for each in given if each is not call.inputs]
    return any(
        shape == (rows, rows) or (len(shape) == 2 and 2 in shape and not real) for shape, real in shapes
    )


def _target_rows(call: LastCall) -> int:
    """How many samples the target tells of; -1 where that is not clear."""
    flat = len(call.shape) == 2 or (len(call.shape) > 2 and call.target.dim() >= 2)
    return len(call.target) if flat and call.target.dim() else -1

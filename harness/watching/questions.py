"""Questions put to a copy of a model once its program has ended: the last call is repeated, changed a little.

Random numbers are drawn from a fork of the generators, and the program's own model is never called.
"""

import copy
import io
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import torch

from harness.watching.derivatives import derivative
from harness.watching.replay import LastCall, output_of, with_first
from harness.watching.tensors import first_tensor, is_mask, is_tokens, shifts_of

MOST_PARAMETERS = 50_000_000


def ask(model: Any, call: LastCall, deadline: float) -> dict[str, Any]:
    """Every question that makes sense; why not, where it does not."""
    if sum(each.numel() for each in model.parameters()) > MOST_PARAMETERS:
        return {"unasked": f"more than {MOST_PARAMETERS:,} parameters"}
    devices = (
        [torch.cuda.current_device()] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    )
    call = call.copied()
    answers: dict[str, Any] = {"shifts": {str(s): share for s, share in call.shifts.items()}}
    with _unheard(), torch.random.fork_rng(devices=devices):
        try:
            twin = copy.deepcopy(getattr(model, "_orig_mod", model))
        except Exception as error:  # noqa: BLE001 - some models cannot be copied
            return {"unasked": f"the model cannot be copied: {type(error).__name__}"}
        for each in twin.parameters():
            each.grad = None
        for question in QUESTIONS:
            if time.monotonic() > deadline:
                answers.setdefault("unasked", "time was over")
                break
            try:
                with _precision(question is derivative):
                    answers |= question(twin, call)
            except Exception as error:  # noqa: BLE001 - a question that cannot be put is none
                answers[f"failed_{question.__name__.strip('_')}"] = f"{type(error).__name__}: {error}"[:200]
    return answers


@contextmanager
def _unheard() -> Iterator[None]:
    """What a model prints, and what torch warns of, belongs to the question and not to the program."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _precision(double: bool) -> Iterator[None]:
    """What a model makes anew is float64 meanwhile, as its copy is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if double else before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _repeats(twin: Any, call: LastCall) -> dict[str, Any]:
    """Does evaluating twice give the same?"""
    twin.eval()
    with torch.no_grad():
        torch.manual_seed(1)
        one = first_tensor(twin(*call.args, **call.kwargs)).float()
        torch.manual_seed(2)
        two = first_tensor(twin(*call.args, **call.kwargs)).float()
    size = float(one.abs().max())
    return {"evaluation_differs": float((one - two).abs().max()) / max(size, 1e-12)}


def _rows_alike(twin: Any, call: LastCall) -> dict[str, Any]:
    """Do different samples get different outputs?"""
    inputs = call.inputs
    output = output_of(twin.eval(), call)
    if inputs is None or inputs.dim() == 0 or len(inputs) < 2 or len(output) != len(inputs):
        return {}
    different = bool((inputs[0] != inputs[1:]).any())
    flat = output.reshape(len(output), -1)
    spread = float(flat.std(0).max())
    return {"rows_spread": spread / max(float(flat.abs().max()), 1e-12) if different else 1.0}


def _follows_input(twin: Any, call: LastCall) -> dict[str, Any]:
    """How far does the output move when every sample is replaced by the next, all else being the same?"""
    inputs = call.inputs
    if inputs is None or inputs.dim() < 2 or len(inputs) < 4 or call.shape[0] != len(inputs):
        return {}
    if bool((inputs == inputs.roll(1, 0)).all()):
        return {}
    before = output_of(twin.eval(), call)
    after = output_of(twin, call, *with_first(call, inputs.roll(1, 0)))
    if before.shape != after.shape:
        return {}
    spread = float((before - before.mean()).abs().max())
    return {"follows_input": float((after - before).abs().max()) / max(spread, 1e-12)}


def _isolated(twin: Any, call: LastCall) -> dict[str, Any]:
    """Does one sample's output depend on another sample?"""
    inputs = call.inputs
    rows = len(inputs) if inputs is not None and inputs.dim() else 0
    if call.target is None or rows < 4 or call.shape[0] != rows or _target_rows(call) != rows:
        return {}
    before = output_of(twin.eval(), call)
    changed = inputs.clone()
    changed[0] = inputs[1]
    if bool((changed[0] == inputs[0]).all()):
        return {}
    after = output_of(twin, call, *with_first(call, changed))
    if after.shape != before.shape:
        return {}
    size = max(float(before.abs().max()), 1e-12)
    return {
        "other_samples": float((after[2:] - before[2:]).abs().max()) / size,
        "own_sample": float((after[0] - before[0]).abs().max()) / size,
    }


def _positions(twin: Any, call: LastCall) -> dict[str, Any]:
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
        "earlier": max(float(_line(each, axis, at)[: at[axis]].max()) for each, at in moved),
        "later": max(float(_line(each, axis, at)[at[axis] + 1 :].max()) for each, at in moved),
        "own": max(float(each[at]) for each, at in moved),
    }


def _moved(twin: Any, call: LastCall, inputs: Any, before: Any, share: float) -> tuple[Any, tuple[int, int]]:
    """How far each output moves when one token changes: relative, in the shape of the inputs; and where."""
    row, column = (min(size - 2, max(1, int(share * size))) for size in inputs.shape)
    changed = inputs.clone()
    other = inputs[inputs != inputs[row, column]]
    if len(other):
        changed[row, column] = other[0]
    after = _by_token(output_of(twin, call, *with_first(call, changed)), inputs)
    size = max(float(before.abs().max()), 1e-12)
    return (after - before).abs().amax(-1) / size, (row, column)


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


def _given_answer(twin: Any, call: LastCall) -> dict[str, Any]:
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


def _mask_kept(twin: Any, call: LastCall) -> dict[str, Any]:
    """With a mask beside the inputs: what is marked, or the rest, reaches which outputs of the other side?"""
    inputs = call.inputs
    masks = [
        each for each in (*call.args, *call.kwargs.values()) if each is not inputs and is_mask(each, inputs)
    ]
    before = output_of(twin.eval(), call)
    if not masks or len(before) != len(inputs):
        return {}
    marked = masks[0].bool()
    each_own = tuple(before.shape[:2]) == tuple(marked.shape)
    size = max(float(before.abs().max()), 1e-12)
    found: dict[str, Any] = {}
    for name, side in {"marked": marked, "unmarked": ~marked}.items():
        values = inputs[side]
        changed = inputs.clone()
        changed[side] = values + 1 if values.is_floating_point() else (values + 1) % (inputs.max() + 1)
        moved = (output_of(twin, call, *with_first(call, changed)) - before).abs()
        found[f"{name}_moves"] = float((moved[~side] if each_own else moved).max()) / size
        found[f"{name}_constant"] = bool((values == values[0]).all())
    return found


def _modes_agree(twin: Any, call: LastCall) -> dict[str, Any]:
    """With dropout off, do batch statistics and running statistics give about the same loss?"""
    if call.loss is None or not any("BatchNorm" in type(each).__name__ for each in twin.modules()):
        return {}
    other = copy.deepcopy(twin)
    for each in other.modules():
        if "Dropout" in type(each).__name__ and hasattr(each, "p"):
            each.p = 0.0
    with torch.no_grad():
        training = float(call.loss(first_tensor(other.train()(*call.args, **call.kwargs))))
        evaluation = float(call.loss(first_tensor(twin.eval()(*call.args, **call.kwargs))))
    return {"loss_in_training": training, "loss_in_evaluation": evaluation}


def _dead_units(twin: Any, call: LastCall) -> dict[str, Any]:
    """Which rectifiers give nothing but zero, for every sample?"""
    dead: dict[str, float] = {}
    handles = []
    for name, each in twin.named_modules():
        if isinstance(each, torch.nn.ReLU | torch.nn.ReLU6):

            def note(_: Any, __: Any, output: Any, name: str = name) -> None:
                share = float((output.reshape(-1, output.shape[-1]) == 0).all(0).float().mean())
                dead[name] = max(share, dead.get(name, 0.0))  # one module may serve several layers

            handles.append(each.register_forward_hook(note))
    try:
        output_of(twin.eval(), call)
    finally:
        for handle in handles:
            handle.remove()
    return {"dead_units": dead} if dead else {}


def _target_rows(call: LastCall) -> int:
    """How many samples the target tells of; -1 where that is not clear."""
    flat = len(call.shape) == 2 or (len(call.shape) > 2 and call.target.dim() >= 2)
    return len(call.target) if flat and call.target.dim() else -1


QUESTIONS = (
    _repeats, _rows_alike, _follows_input, _isolated, _positions, _given_answer, _mask_kept,
    _modes_agree, _dead_units,
    derivative,
)  # fmt: skip
"""In the order in which they are put; each takes a copy of the model and its last call."""

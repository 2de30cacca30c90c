"""Questions put to a copy of a model once its program has ended: the last call is repeated, changed a little.

Random numbers are drawn from a fork of the generators, and the program's own model is never called.
"""

import copy
import io
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch

from harness.watching.derivatives import derivative
from harness.watching.gradients import reached, through_time
from harness.watching.normalizing import statistics_off
from harness.watching.paddings import cut_shorter, tells_apart
from harness.watching.replay import LastCall, output_of, with_first
from harness.watching.samples import felt, isolated, place_in_batch
from harness.watching.tensors import first_tensor, is_mask
from harness.watching.tokens import given_answer, positions
from harness.watching.values import next_value, own_value

MOST_PARAMETERS = 50_000_000
LEAST_ROWS = 8
"""Of fewer samples, all may happen to lie on the dead side of every unit."""


def ask(model: Any, call: LastCall, deadline: float) -> dict[str, Any]:
    """Every question that makes sense; why not, where it does not."""
    if sum(each.numel() for each in model.parameters()) > MOST_PARAMETERS:
        return {"unasked": f"more than {MOST_PARAMETERS:,} parameters"}
    devices = (
        [torch.cuda.current_device()] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    )
    call = call.copied()
    answers: dict[str, Any] = {
        "shifts": {str(s): share for s, share in call.shifts.items()},
        "hidden": call.hidden,
    }
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
        found[f"{name}_constant"] = bool((values == values[0]).all()) and _at_ends(side)
    return found


def _at_ends(side: Any) -> bool:
    """Whether what is marked stands at the ends of rows, or at their beginnings: as padding does (N, L)."""
    each = side.long()
    return bool((each.diff(dim=1) >= 0).all() or (each.diff(dim=1) <= 0).all())


def _modes_agree(twin: Any, call: LastCall) -> dict[str, Any]:
    """With dropout off, do batch statistics and running statistics give about the same loss?

    And how far apart are they, for the layer in the middle of all?
    """
    if not any("BatchNorm" in type(each).__name__ for each in twin.modules()):
        return {}
    other = copy.deepcopy(twin)
    for each in other.modules():
        if "Dropout" in type(each).__name__ and hasattr(each, "p"):
            each.p = 0.0
    apart = statistics_off(copy.deepcopy(other), call)
    if call.loss is None:
        return apart
    with torch.no_grad():
        training = float(call.loss(first_tensor(other.train()(*call.args, **call.kwargs))))
        evaluation = float(call.loss(first_tensor(twin.eval()(*call.args, **call.kwargs))))
    return {"loss_in_training": training, "loss_in_evaluation": evaluation, **apart}


def _dead_units(twin: Any, call: LastCall) -> dict[str, Any]:
    """Which rectifiers give nothing but zero, for every sample?"""
    dead: dict[str, float] = {}
    handles = []
    for name, each in twin.named_modules():
        if isinstance(each, torch.nn.ReLU | torch.nn.ReLU6):

            def note(_: Any, __: Any, output: Any, name: str = name) -> None:
                axis = 1 if output.dim() in (4, 5) else -1
                units = output.movedim(axis, -1).reshape(-1, output.shape[axis])
                if len(units) >= LEAST_ROWS and units.shape[1] > 1:
                    share = float((units == 0).all(0).float().mean())
                    dead[name] = max(share, dead.get(name, 0.0))  # one module may serve several layers

            handles.append(each.register_forward_hook(note))
    try:
        output_of(twin.eval(), call)
    finally:
        for handle in handles:
            handle.remove()
    return {"dead_units": dead} if dead else {}


QUESTIONS = (
    _repeats, _rows_alike, _follows_input, isolated, felt, place_in_batch, positions, given_answer,
    own_value, next_value, cut_shorter, tells_apart, _mask_kept, _modes_agree, _dead_units, reached,
    through_time, derivative,
)  # fmt: skip
"""In the order in which they are put; each takes a copy of the model and its last call."""

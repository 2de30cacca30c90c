"""Questions put to a copy of each trained model once the program has ended, with its last batch."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from harness.observers import Observer

MOST_SECONDS = 20.0
MOST_PARAMETERS = 50_000_000
MOST_PARTS = 40


@dataclass(slots=True)
class _Call:
    """The last call of a model that led to an update, and the loss of it where that can be repeated."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    storage: int
    shape: tuple[int, ...]
    loss: "Callable[[Any], Any] | None" = None
    target: Any = None
    kind: str = ""
    shifts: dict[int, float] = field(default_factory=dict)


class Behaviour(Observer):
    """Keeps references to the last batch; copies are made, and asked, at the end only."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.calls: dict[int, _Call] = {}
        self.pending: Any = None
        self.depth = 0

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """A model is at work: a loss that comes now is part of it."""
        del hub, module, args
        self.depth = depth + 1

    def called(self, hub: Any, module: Any, args: Any, kwargs: Any, output: Any, depth: int) -> None:
        """Remember the call."""
        import torch  # noqa: PLC0415 - only where torch runs

        self.depth = depth
        if depth or id(module) not in hub.models or not torch.is_grad_enabled():
            return
        target, self.pending = self.pending, None
        first = _first(output)
        if first is None or first.dim() == 0 or not first.requires_grad:
            return
        call = _Call(args, kwargs, first.untyped_storage().data_ptr(), tuple(first.shape))
        self.calls[id(module)] = call
        inputs = _first(args) if args else _first(kwargs)
        if target is not None and _is_tokens(inputs):
            call.shifts = _shifts(inputs, target)

    def loss_computed(
        self, hub: Any, kind: str, predicted: Any, target: Any, result: Any, options: Any
    ) -> None:
        """A loss of an output as it came can be repeated on a copy; its target tells what is predicted."""
        import torch  # noqa: PLC0415 - only where torch runs

        del hub
        if not torch.is_grad_enabled() or not predicted.requires_grad or result.numel() != 1:
            return
        if self.depth:
            self.pending = None if target.is_floating_point() else target.detach()
            return
        for call in self.calls.values():
            inputs = _first(call.args) if call.args else _first(call.kwargs)
            if kind == "cross_entropy" and not target.is_floating_point() and _is_tokens(inputs):
                call.shifts = _shifts(inputs, target)
                call.target = target.detach()
            if predicted.untyped_storage().data_ptr() == call.storage and not target.requires_grad:
                shape, function = tuple(predicted.shape), getattr(torch.nn.functional, kind)
                given = {**options, "weight": None} if options.get("weight") is not None else dict(options)
                call.kind, call.target = kind, target.detach()
                if _size(predicted) == _size_of(call.shape):
                    call.loss = lambda output, s=shape, f=function, t=target.detach(), o=given: f(  # type: ignore[misc]
                        output.reshape(s), t.to(output.dtype) if t.is_floating_point() else t, **o
                    )

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By trained model, what was asked and answered."""
        deadline = time.monotonic() + MOST_SECONDS
        asked = [
            {"model": type(model).__name__, **_ask(model, self.calls[id(model)], deadline)}
            for model in hub.trained_models()
            if id(model) in self.calls
        ]
        if not asked:
            raise NotImplementedError("no call of a trained model could be repeated")
        return {"models": asked}


def _ask(model: Any, call: _Call, deadline: float) -> dict[str, Any]:
    """Every question that makes sense; why not, where it does not."""
    import torch  # noqa: PLC0415 - only where torch runs

    if sum(each.numel() for each in model.parameters()) > MOST_PARAMETERS:
        return {"unasked": f"more than {MOST_PARAMETERS:,} parameters"}
    devices = (
        [torch.cuda.current_device()] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    )
    answers: dict[str, Any] = {"shifts": {str(s): share for s, share in call.shifts.items()}}
    with torch.random.fork_rng(devices=devices):
        try:
            twin = copy.deepcopy(getattr(model, "_orig_mod", model))
        except Exception as error:  # noqa: BLE001 - some models cannot be copied
            return {"unasked": f"the model cannot be copied: {type(error).__name__}"}
        for each in twin.parameters():
            each.grad = None
        for question in (
            _repeats,
            _rows_alike,
            _isolated,
            _positions,
            _modes_agree,
            _dead_units,
            _derivative,
        ):
            if time.monotonic() > deadline:
                answers.setdefault("unasked", "time was over")
                break
            try:
                with _precision(question is _derivative):
                    answers |= question(twin, call)
            except Exception as error:  # noqa: BLE001 - a question that cannot be put is none
                answers[f"failed_{question.__name__.strip('_')}"] = f"{type(error).__name__}: {error}"[:200]
    return answers


@contextmanager
def _precision(double: bool) -> Iterator[None]:
    """What a model makes anew is float64 meanwhile, as its copy is."""
    import torch  # noqa: PLC0415 - only where torch runs

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if double else before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _output(twin: Any, call: _Call, args: Any = None, kwargs: Any = None) -> Any:
    import torch  # noqa: PLC0415 - only where torch runs

    with torch.no_grad():
        torch.manual_seed(0)
        return _first(
            twin(*(call.args if args is None else args), **(call.kwargs if kwargs is None else kwargs))
        ).float()


def _with_first(call: _Call, values: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """The call with another tensor in place of its first one."""
    import torch  # noqa: PLC0415 - only where torch runs

    args, kwargs = list(call.args), dict(call.kwargs)
    for number, each in enumerate(args):
        if isinstance(each, torch.Tensor):
            args[number] = values
            return tuple(args), kwargs
    for name, each in kwargs.items():
        if isinstance(each, torch.Tensor):
            kwargs[name] = values
            break
    return tuple(args), kwargs


def _repeats(twin: Any, call: _Call) -> dict[str, Any]:
    """Does evaluating twice give the same?"""
    import torch  # noqa: PLC0415 - only where torch runs

    twin.eval()
    with torch.no_grad():
        torch.manual_seed(1)
        one = _first(twin(*call.args, **call.kwargs)).float()
        torch.manual_seed(2)
        two = _first(twin(*call.args, **call.kwargs)).float()
    size = float(one.abs().max())
    return {"evaluation_differs": float((one - two).abs().max()) / max(size, 1e-12)}


def _rows_alike(twin: Any, call: _Call) -> dict[str, Any]:
    """Do different samples get different outputs?"""
    inputs = _first(call.args) if call.args else _first(call.kwargs)
    output = _output(twin.eval(), call)
    if inputs is None or inputs.dim() == 0 or len(inputs) < 2 or len(output) != len(inputs):
        return {}
    different = bool((inputs[0] != inputs[1:]).any())
    flat = output.reshape(len(output), -1)
    spread = float(flat.std(0).max())
    return {"rows_spread": spread / max(float(flat.abs().max()), 1e-12) if different else 1.0}


def _follows_input(twin: Any, call: _Call) -> dict[str, Any]:
    """How far does the output move when every sample is replaced by the next, with all random numbers the same?"""
    inputs = _first(call.args) if call.args else _first(call.kwargs)
    if inputs is None or inputs.dim() < 2 or len(inputs) < 4 or call.shape[0] != len(inputs):
        return {}
    if bool((inputs == inputs.roll(1, 0)).all()):
        return {}
    before = _output(twin.eval(), call)
    after = _output(twin, call, *_with_first(call, inputs.roll(1, 0)))
    if before.shape != after.shape:
        return {}
    spread = float((before - before.mean()).abs().max())
    return {"follows_input": float((after - before).abs().max()) / max(spread, 1e-12)}


def _isolated(twin: Any, call: _Call) -> dict[str, Any]:
    """Does one sample's output depend on another sample?"""
    inputs = _first(call.args) if call.args else _first(call.kwargs)
    rows = len(inputs) if inputs is not None and inputs.dim() else 0
    if call.target is None or rows < 4 or call.shape[0] != rows or _target_rows(call) != rows:
        return {}
    before = _output(twin.eval(), call)
    changed = inputs.clone()
    changed[0] = inputs[1]
    if bool((changed[0] == inputs[0]).all()):
        return {}
    after = _output(twin, call, *_with_first(call, changed))
    if after.shape != before.shape:
        return {}
    size = max(float(before.abs().max()), 1e-12)
    return {
        "other_samples": float((after[2:] - before[2:]).abs().max()) / size,
        "own_sample": float((after[0] - before[0]).abs().max()) / size,
    }


def _positions(twin: Any, call: _Call) -> dict[str, Any]:
    """Of tokens: which positions does one of them reach? Time is the axis along which it reaches any."""
    inputs = _first(call.args) if call.args else _first(call.kwargs)
    before = _by_token(_output(twin.eval(), call), inputs) if _is_tokens(inputs) else None
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


def _moved(twin: Any, call: _Call, inputs: Any, before: Any, share: float) -> tuple[Any, tuple[int, int]]:
    """How far each output moves when one token changes: relative, in the shape of the inputs; and where."""
    row, column = (min(size - 2, max(1, int(share * size))) for size in inputs.shape)
    changed = inputs.clone()
    other = inputs[inputs != inputs[row, column]]
    if len(other):
        changed[row, column] = other[0]
    after = _by_token(_output(twin, call, *_with_first(call, changed)), inputs)
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


def _mask_kept(twin: Any, call: _Call) -> dict[str, Any]:
    """With a mask beside the inputs: does what is marked, or the rest, reach the outputs of the other side?"""
    inputs = _first(call.args)
    masks = [
        each for each in (*call.args, *call.kwargs.values()) if each is not inputs and _is_mask(each, inputs)
    ]
    before = _output(twin.eval(), call)
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
        moved = (_output(twin, call, *_with_first(call, changed)) - before).abs()
        found[f"{name}_moves"] = float((moved[~side] if each_own else moved).max()) / size
        found[f"{name}_constant"] = bool((values == values[0]).all())
    return found


def _is_mask(value: Any, inputs: Any) -> bool:
    import torch  # noqa: PLC0415 - only where torch runs

    if (
        not isinstance(value, torch.Tensor)
        or inputs is None
        or inputs.dim() < 2
        or value.shape != inputs.shape[:2]
    ):
        return False
    return bool(((value == 0) | (value == 1)).all()) and bool((value != 0).any()) and bool((value == 0).any())


def _modes_agree(twin: Any, call: _Call) -> dict[str, Any]:
    """With dropout off, do batch statistics and running statistics give about the same loss?"""
    import torch  # noqa: PLC0415 - only where torch runs

    if call.loss is None or not any("BatchNorm" in type(each).__name__ for each in twin.modules()):
        return {}
    other = copy.deepcopy(twin)
    for each in other.modules():
        if "Dropout" in type(each).__name__ and hasattr(each, "p"):
            each.p = 0.0
    with torch.no_grad():
        training = float(call.loss(_first(other.train()(*call.args, **call.kwargs))))
        evaluation = float(call.loss(_first(twin.eval()(*call.args, **call.kwargs))))
    return {"loss_in_training": training, "loss_in_evaluation": evaluation}


def _dead_units(twin: Any, call: _Call) -> dict[str, Any]:
    """Which rectifiers give nothing but zero, for every sample?"""
    import torch  # noqa: PLC0415 - only where torch runs

    dead: dict[str, float] = {}
    handles = []
    for name, each in twin.named_modules():
        if isinstance(each, torch.nn.ReLU | torch.nn.ReLU6):

            def note(_: Any, __: Any, output: Any, name: str = name) -> None:
                dead[name] = float((output.reshape(-1, output.shape[-1]) == 0).all(0).float().mean())

            handles.append(each.register_forward_hook(note))
    try:
        _output(twin.eval(), call)
    finally:
        for handle in handles:
            handle.remove()
    return {"dead_units": dead} if dead else {}


def _derivative(twin: Any, call: _Call) -> dict[str, Any]:
    """Is the gradient the derivative of the output? Central differences along it, in double precision."""
    import torch  # noqa: PLC0415 - only where torch runs

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
        output = _first(exact(*args, **kwargs)).reshape(-1)
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
    import torch  # noqa: PLC0415 - only where torch runs

    size = max(float(torch.stack([each.detach().norm() for each in tensors]).norm()), 1e-3)
    step = 1e-5 * size / squares**0.5
    values = []
    with torch.no_grad():
        for sign in (1, -2, 1):
            for each in tensors:
                if each.grad is not None:
                    each += sign * step * each.grad
            if sign != 1 or not values:
                values.append(float(loss()))
    return (values[0] - values[1]) / (2 * step)


def _first(value: Any) -> Any:
    """The first tensor of an output or of arguments; logits where an output names them."""
    import torch  # noqa: PLC0415 - only where torch runs

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        named = [value[name] for name in ("logits", "input_ids") if isinstance(value.get(name), torch.Tensor)]
        if named:
            return named[0]
        value = list(value.values())
    if isinstance(value, list | tuple):
        tensors = [found for each in value if (found := _first(each)) is not None]
        # Of (loss, logits), the logits: a scalar is what was made of the output.
        return next((each for each in tensors if each.dim()), tensors[0] if tensors else None)
    return None


def _is_tokens(inputs: Any) -> bool:
    return (
        inputs is not None and inputs.dim() == 2 and not inputs.is_floating_point() and inputs.shape[1] >= 4
    )


def _shifts(inputs: Any, target: Any) -> dict[int, float]:
    """How often a target is the token at its own place, at the next one, or at the one after."""
    if target.numel() % len(inputs):
        return {}
    rows = target.reshape(len(inputs), -1)
    if abs(rows.shape[1] - inputs.shape[1]) > 2:
        return {}
    found = {}
    for shift in (-1, 0, 1, 2):
        width = min(rows.shape[1], inputs.shape[1] - shift)
        begin = max(0, -shift)
        ours, theirs = rows[:, begin:width], inputs[:, begin + shift : width + shift]
        counted = ours >= 0
        found[shift] = float((ours == theirs)[counted].float().mean()) if bool(counted.any()) else 0.0
    return found


def _target_rows(call: _Call) -> int:
    """How many samples the target tells of: as many as the output, where that has no further axis of its own."""
    flat = len(call.shape) == 2 or (len(call.shape) > 2 and call.target.dim() >= 2)
    return len(call.target) if flat and call.target.dim() else -1


def _size(value: Any) -> int:
    return int(value.numel())


def _size_of(shape: tuple[int, ...]) -> int:
    total = 1
    for each in shape:
        total *= each
    return total


def _double(value: Any) -> Any:
    import torch  # noqa: PLC0415 - only where torch runs

    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

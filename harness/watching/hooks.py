"""Hooks in torch that tell a hub what a program does. What they wrap gives back what it gave before."""

import functools
from typing import Any

import torch
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers

from harness.model import HarnessError
from harness.watching.changes import Changes
from harness.watching.data import loaders, splits, switches
from harness.watching.events import Call
from harness.watching.hub import Hub
from harness.watching.operations import OPERATIONS
from harness.watching.sums import additions
from harness.watching.wrapping import after, before


def install(hub: Hub) -> Changes:
    """Hook everything, for the rest of this process or until what is returned is closed.

    Raises:
        HarnessError: this process is under observation already.
    """
    if isinstance(getattr(torch.autograd.backward, "hub", None), Hub):
        raise HarnessError("this process is under observation already; end one before another begins")
    changes = Changes()
    try:
        for hook in HOOKS:
            hook(hub, changes)
    except BaseException:
        changes.close()
        raise
    return changes


def _optimizers(hub: Hub, changes: Changes) -> None:
    after(
        changes,
        torch.optim.Optimizer,
        "__init__",
        lambda _, optimizer, *_a, **_k: hub.tell("optimizer_made", optimizer),
    )

    def stepping(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        hub.check_limits(optimizer)
        late = any(callable(value) for value in (*args[1:], *kwargs.values()))
        hub.tell("stepping", optimizer, late)

    def stepped(optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        hub.tell("stepped", optimizer)

    changes.callback(optimizers.register_optimizer_step_pre_hook(stepping).remove)
    changes.callback(optimizers.register_optimizer_step_post_hook(stepped).remove)


def _backward(hub: Hub, changes: Changes) -> None:
    original = torch.autograd.backward

    @functools.wraps(original)
    def backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
        roots = [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)
        hub.tell("backward_begins", roots)
        original(tensors, *args, **kwargs)
        hub.tell("backward_ended", roots)

    backward.hub = hub  # type: ignore[attr-defined]
    changes.put(torch.autograd, "backward", backward)


def _modules(hub: Hub, changes: Changes) -> None:
    """Calls of modules with their depth. One without parameters around all others, as a loss, is none."""
    stack: list[int] = []

    def calling(module: torch.nn.Module, args: Any) -> None:
        if torch.compiler.is_compiling() or hub.busy:
            return
        if stack or next(module.parameters(), None) is not None:
            stack.append(id(module))
            hub.tell("calling", module, args, len(stack) - 1)

    def called(module: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or hub.busy or id(module) not in stack:
            return
        # Calls that raised within this one never came back.
        while stack.pop() != id(module):
            pass
        if output is not None:
            hub.tell("called", Call(module, args, kwargs, output, len(stack)))

    changes.callback(modules.register_module_forward_pre_hook(calling).remove)
    handle = modules.register_module_forward_hook(called, with_kwargs=True, always_call=True)
    changes.callback(handle.remove)
    # What torch itself leaves behind when such a hook is removed.
    changes.callback(modules._global_forward_hooks_with_kwargs.pop, handle.id, None)  # noqa: SLF001


def _clipping(hub: Hub, changes: Changes) -> None:
    def clipping(parameters: Any, limit: Any, *_: Any, **__: Any) -> None:
        listed = [parameters] if isinstance(parameters, torch.Tensor) else parameters
        hub.tell("clipping", list(listed), float(limit))

    for name in ("clip_grad_norm_", "clip_grad_value_"):
        original = getattr(torch.nn.utils, name)

        @functools.wraps(original)
        def clip(parameters: Any, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            # A generator can be gone through once.
            listed = parameters if isinstance(parameters, torch.Tensor) else list(parameters)
            limit = args[0] if args else kwargs.get("max_norm", kwargs.get("clip_value", float("inf")))
            clipping(listed, limit)
            return original(listed, *args, **kwargs)

        changes.put(torch.nn.utils, name, clip)
        changes.put(torch.nn.utils.clip_grad, name, clip)


def _scaling(hub: Hub, changes: Changes) -> None:
    scaler = torch.amp.GradScaler
    after(changes, scaler, "scale", lambda _, self, *_a, **_k: hub.tell("scaled", self))
    before(
        changes, scaler, "unscale_", lambda self, optimizer, *_a, **_k: hub.tell("unscaled", self, optimizer)
    )


def _schedulers(hub: Hub, changes: Changes) -> None:
    base = torch.optim.lr_scheduler.LRScheduler
    after(
        changes,
        base,
        "__init__",
        lambda _, self, optimizer=None, *_a, **_k: hub.tell("scheduler_made", self, optimizer),
    )
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    after(
        changes,
        plateau,
        "__init__",
        lambda _, self, optimizer=None, *_a, **_k: hub.tell("scheduler_made", self, optimizer),
    )
    after(
        changes, plateau, "step", lambda _, self, metrics, *_a, **_k: hub.tell("metric_given", self, metrics)
    )


def _checkpoints(hub: Hub, changes: Changes) -> None:
    def loaded(result: Any, module: torch.nn.Module, state: Any, *_: Any, **__: Any) -> None:
        hub.tell("state_loaded", module, state, result)

    after(changes, torch.nn.Module, "load_state_dict", loaded)
    before(changes, torch, "save", lambda value, *_a, **_k: hub.tell("saved", value))
    after(changes, torch, "load", lambda value, *_, **__: hub.tell("loaded", value))
    after(
        changes,
        torch.optim.Optimizer,
        "load_state_dict",
        lambda _, optimizer, state, *_a, **_k: hub.tell("state_used", optimizer, state),
    )
    kinds = [each for each in vars(torch.optim.lr_scheduler).values() if isinstance(each, type)]
    for kind in kinds:
        if "load_state_dict" in vars(kind):
            after(
                changes,
                kind,
                "load_state_dict",
                lambda _, one, state, *_a: hub.tell("state_used", one, state),
            )


def _registration(hub: Hub, changes: Changes) -> None:
    """A parameter gets a place in a module, a second one ties it; a module, its parent or a format."""

    def registered(module: torch.nn.Module, name: str, parameter: Any) -> None:
        if parameter is not None:
            hub.tell("registered", module, name, parameter)

    def placed(parent: torch.nn.Module, name: str, module: Any) -> None:
        if module is not None:
            hub.tell("placed", parent, name, module)

    for name in ("to", "half", "bfloat16"):
        after(changes, modules.Module, name, lambda module, *_a, **_k: hub.tell("converted", module))
    changes.callback(modules.register_module_parameter_registration_hook(registered).remove)
    changes.callback(modules.register_module_module_registration_hook(placed).remove)


HOOKS = (
    _optimizers, _backward, _modules, _clipping, _scaling, _schedulers, _checkpoints, _registration,
    loaders, splits, switches, additions, *OPERATIONS,
)  # fmt: skip

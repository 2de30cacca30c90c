"""Hooks in torch that tell a hub what a program does. What they wrap gives back exactly what it gave before."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers

from harness.watching.hub import Hub

LOSSES = (
    "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss",
    "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "gaussian_nll_loss", "poisson_nll_loss",
)  # fmt: skip


def install(hub: Hub) -> None:
    """Hook everything; for the rest of this process."""
    _optimizers(hub)
    _backward(hub)
    _modules(hub)
    _losses(hub)
    _clipping(hub)
    _scaling(hub)
    _schedulers(hub)
    _loaders(hub)
    _checkpoints(hub)
    _dropout(hub)
    _differences(hub)


def _after(owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Wrap a function or method: `tell(result, *args, **kwargs)` once it has returned."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if not torch.compiler.is_compiling():
            tell(result, *args, **kwargs)
        return result

    setattr(owner, name, wrapper)


def _before(owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Wrap a function or method: `tell(*args, **kwargs)` before it is called."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling():
            tell(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, wrapper)


def _optimizers(hub: Hub) -> None:
    _after(
        torch.optim.Optimizer, "__init__", lambda _, optimizer, *a, **k: hub.tell("optimizer_made", optimizer)
    )

    def stepping(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        hub.check_limits(optimizer)
        late = any(callable(value) for value in (*args[1:], *kwargs.values()))
        hub.tell("stepping", optimizer, late)

    def stepped(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        hub.tell("stepped", optimizer)

    optimizers.register_optimizer_step_pre_hook(stepping)  # type: ignore[no-untyped-call]
    optimizers.register_optimizer_step_post_hook(stepped)  # type: ignore[no-untyped-call]


def _backward(hub: Hub) -> None:
    original = torch.autograd.backward

    @functools.wraps(original)
    def backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
        roots = [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)
        hub.tell("backward_begins", roots)
        original(tensors, *args, **kwargs)
        hub.tell("backward_ended", roots)

    torch.autograd.backward = backward  # type: ignore[assignment]


def _modules(hub: Hub) -> None:
    """Calls of modules with their depth. A module without parameters around all others, as a loss, is none."""
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
            hub.tell("called", module, args, kwargs, output, len(stack))

    modules.register_module_forward_pre_hook(calling)  # type: ignore[arg-type]
    modules.register_module_forward_hook(called, with_kwargs=True, always_call=True)  # type: ignore[arg-type]


def _losses(hub: Hub) -> None:
    functional = torch.nn.functional
    for kind in LOSSES:

        def tell(result: Any, input: Any, target: Any, *args: Any, kind: str = kind, **kwargs: Any) -> None:  # noqa: A002 - torch's own name
            hub.tell("loss_computed", kind, input, target, result, kwargs)

        _after(functional, kind, tell)


def _clipping(hub: Hub) -> None:
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

        setattr(torch.nn.utils, name, clip)
        setattr(torch.nn.utils.clip_grad, name, clip)


def _scaling(hub: Hub) -> None:
    scaler = torch.amp.GradScaler
    _after(scaler, "scale", lambda _, self, *a, **k: hub.tell("scaled", self))
    _before(scaler, "unscale_", lambda self, optimizer, *a, **k: hub.tell("unscaled", self, optimizer))


def _schedulers(hub: Hub) -> None:
    base = torch.optim.lr_scheduler.LRScheduler
    _after(
        base,
        "__init__",
        lambda _, self, optimizer=None, *a, **k: hub.tell("scheduler_made", self, optimizer),
    )
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    _after(
        plateau,
        "__init__",
        lambda _, self, optimizer=None, *a, **k: hub.tell("scheduler_made", self, optimizer),
    )


def _loaders(hub: Hub) -> None:
    from torch.utils.data import dataloader  # noqa: PLC0415 - a program may do without

    base = dataloader._BaseDataLoaderIter
    _after(base, "__init__", lambda _, self, loader, *a, **k: hub.tell("loader_started", self, loader))
    _after(base, "__next__", lambda batch, self: hub.tell("batch_loaded", self, batch))


def _checkpoints(hub: Hub) -> None:
    def loaded(result: Any, module: torch.nn.Module, state: Any, *_: Any, **__: Any) -> None:
        hub.tell("state_loaded", module, state, result)

    _after(torch.nn.Module, "load_state_dict", loaded)
    _before(torch, "save", lambda value, *a, **k: hub.tell("saved", value))
    _after(torch, "load", lambda value, *_, **__: hub.tell("loaded", value))
    _after(
        torch.optim.Optimizer,
        "load_state_dict",
        lambda _, optimizer, state, *a, **k: hub.tell("optimizer_loaded", optimizer, state),
    )


DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")


def _dropout(hub: Hub) -> None:
    for kind in DROPOUTS:

        def tell(_: Any, input: Any, p: float = 0.5, training: bool = True, *a: Any, **k: Any) -> None:  # noqa: A002 - torch's own name
            hub.tell("dropped", p, training)

        _after(torch.nn.functional, kind, tell)


def _differences(hub: Hub) -> None:
    """`a - b` of two tensors: the heart of losses that people write themselves."""
    for name in ("__sub__", "__rsub__"):

        def tell(result: Any, one: Any, other: Any) -> None:
            if isinstance(other, torch.Tensor) and result.requires_grad:
                hub.tell("subtracted", one, other, result)

        _after(torch.Tensor, name, tell)

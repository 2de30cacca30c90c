"""Hooks in torch's operations on tensors: losses, dropout, softmax, attention, differences, reshapes."""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from harness.watching.changes import Changes
from harness.watching.events import Loss
from harness.watching.hub import Hub
from harness.watching.places import place_of_caller
from harness.watching.shapes import exchanged
from harness.watching.wrapping import after

LOSSES = (
    "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss",
    "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "gaussian_nll_loss", "poisson_nll_loss",
)  # fmt: skip


def _losses(hub: Hub, changes: Changes) -> None:
    functional = torch.nn.functional
    for kind in LOSSES:
        after(changes, functional, kind, _loss_teller(hub, kind))


def _loss_teller(hub: Hub, kind: str) -> Callable[..., None]:
    names = tuple(inspect.signature(getattr(torch.nn.functional, kind)).parameters)[2:]

    def tell(result: Any, input: Any, target: Any, *rest: Any, **options: Any) -> None:  # noqa: A002 - torch's own name
        # Not all of the options need be given, nor by name.
        named = {**dict(zip(names, rest, strict=False)), **options}
        hub.tell("loss_computed", Loss(kind, input, target, result, named))

    return tell


DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")


def _dropout(hub: Hub, changes: Changes) -> None:
    for kind in DROPOUTS:

        def tell(
            _: Any, _input: Any = None, p: float = 0.5, training: bool = True, *_a: Any, **_k: Any
        ) -> None:
            hub.tell("dropped", p, training)

        after(changes, torch.nn.functional, kind, tell)


def _differences(hub: Hub, changes: Changes) -> None:
    """`a - b` of two tensors: the heart of losses, and of evaluations, that people write themselves."""
    for name in ("__sub__", "__rsub__"):

        def tell(result: Any, one: Any, other: Any) -> None:
            if isinstance(other, torch.Tensor) and (result.requires_grad or not torch.is_grad_enabled()):
                hub.tell("subtracted", one, other, result)

        after(changes, torch.Tensor, name, tell)


def _softmax(hub: Hub, changes: Changes) -> None:
    def tell(_: Any, values: Any, dim: Any = None, *__: Any, **___: Any) -> None:
        hub.tell("softened", values, dim)

    for owner in (torch.nn.functional, torch, torch.Tensor):
        after(changes, owner, "softmax", tell)
        after(changes, owner, "log_softmax", tell)

    def attended(_: Any, query: Any, key: Any, *rest: Any, scale: Any = None, **more: Any) -> None:
        hub.tell("attended", query, key, scale)
        dropped = rest[2] if len(rest) > 2 else more.get("dropout_p", 0.0)
        hub.tell("dropped", dropped, dropped > 0)

    after(changes, torch.nn.functional, "scaled_dot_product_attention", attended)


def _reshapes(hub: Hub, changes: Changes) -> None:
    """Reshapes in the program's own text whose sizes are those of an exchange of axes."""

    def tell(result: torch.Tensor, given: torch.Tensor, *_: Any, **__: Any) -> None:
        if (kind := exchanged(given.shape, result.shape)) and (where := place_of_caller()):
            hub.tell("exchanged", kind, given, result, where)

    for owner, name in ((torch.Tensor, "view"), (torch.Tensor, "reshape"), (torch, "reshape")):
        after(changes, owner, name, tell)


OPERATIONS = (_losses, _dropout, _differences, _softmax, _reshapes)

"""The last call of a model, and how a copy is called so again, changed or not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from harness.watching.tensors import first_tensor


@dataclass(slots=True)
class LastCall:
    """The last call of a model that led to an update, and the loss of it where that can be repeated.

    begins: where in the output's memory that part begins which is held to the target.
    widths: how many different lengths samples had in the calls so far, up to a few.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    storage: int
    shape: tuple[int, ...]
    loss: "Callable[[Any], Any] | None" = None
    target: Any = None
    kind: str = ""
    begins: int = 0
    shifts: dict[int, float] = field(default_factory=dict)
    hidden: int = 0
    widths: int = 1

    @property
    def inputs(self) -> Any:
        """The first tensor that the model was called with, or None."""
        return first_tensor(self.args) if self.args else first_tensor(self.kwargs)

    def copied(self) -> "LastCall":
        """The same with tensors of its own: a model may write to what it is given."""
        args = tuple(_cloned(each) for each in self.args)
        return replace(self, args=args, kwargs={name: _cloned(each) for name, each in self.kwargs.items()})


def output_of(twin: Any, call: LastCall, args: Any = None, kwargs: Any = None) -> Any:
    """What the copy gives for the call, or for other arguments in its place, without gradients."""
    with torch.no_grad():
        torch.manual_seed(0)
        return first_tensor(
            twin(*(call.args if args is None else args), **(call.kwargs if kwargs is None else kwargs))
        ).float()


def with_first(call: LastCall, values: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """The call with another tensor in place of its first one, wherever among the arguments that stands."""
    args, kwargs = _with(call.args, call.inputs, values), _with(call.kwargs, call.inputs, values)
    return tuple(args), kwargs


def _with(value: Any, old: Any, new: Any) -> Any:
    """The same with one object for another, in lists and mappings too."""
    if value is old:
        return new
    if isinstance(value, dict):
        return {name: _with(each, old, new) for name, each in value.items()}
    return type(value)([_with(each, old, new) for each in value]) if type(value) in (list, tuple) else value


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """The same with what a function gives in place of each tensor, in lists and mappings too."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if type(value) is dict:
        return {name: mapped(each, function) for name, each in value.items()}
    return type(value)([mapped(each, function) for each in value]) if type(value) in (list, tuple) else value


def _cloned(value: Any) -> Any:
    return mapped(value, lambda each: each.detach().clone())

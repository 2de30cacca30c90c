"""What hooks tell of, where it takes more than a value or two."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch


class Call(NamedTuple):
    """A module was called. depth: 0 for a model, more for what works inside it."""

    module: "torch.nn.Module"
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any
    depth: int

    @property
    def given(self) -> tuple[Any, ...]:
        """All arguments, by position and by name."""
        return (*self.args, *self.kwargs.values())


class Loss(NamedTuple):
    """A loss function of `torch.nn.functional` gave a result. kind: its name; options: by name."""

    kind: str
    predicted: "torch.Tensor"
    target: "torch.Tensor"
    result: "torch.Tensor"
    options: Mapping[str, Any]

"""Reshapes that pretend to exchange axes, and what is made of their results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.observers import Observer
from harness.watching.shapes import JOINED, MOVED, PACKED, SPLIT, exchanged

MOST_PLACES = 16
PENDING = 4
"""Results that still may be given to a layer; older ones were not."""
MOST_SCORES = 64
ONCE = 4
"""Data that is prepared before the training, in a few parts."""


@dataclass(slots=True)
class _Place:
    """A reshape in the program's text that reads axes for others. used: its result went where axes matter."""

    kind: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    where: str
    calls: int = 0
    used: int = 0


class Reshapes(Observer):
    """Follows results to layers with weights, and to attention; of data that is prepared once, to models."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.places: dict[tuple[str, str], _Place] = {}
        self.pending: list[_Place] = []
        self.prepared: list[_Place] = []
        self.scored: set[tuple[int, ...]] = set()

    def exchanged(self, hub: Any, kind: str, given: Any, result: Any, where: str) -> None:
        """One more. What is learned as a whole has no order of its own; what a view made may go back."""
        import torch  # noqa: PLC0415 - only where torch runs

        if isinstance(given, torch.nn.Parameter) or _goes_back(given, tuple(result.shape)):
            return
        if (where, kind) not in self.places and len(self.places) >= MOST_PLACES:
            return
        told = self.places.setdefault((where, kind), _Place(kind, (), (), where))
        told.before, told.after = tuple(given.shape), tuple(result.shape)
        told.calls += 1
        if kind == JOINED and told.before[:-1] not in self.scored:
            return
        if kind == MOVED and not hub.step and told not in self.prepared and not result.requires_grad:
            self.prepared.append(told)
        self.pending = [*self.pending[1 - PENDING :], told]

    def attended(self, hub: Any, query: Any, key: Any, scale: Any) -> None:
        """Heads that go into attention."""
        del hub, key, scale
        self._scored(tuple(query.shape[:-1]))

    def softened(self, hub: Any, values: Any, axis: Any) -> None:
        """Scores (..., T, T) of heads."""
        del hub, axis
        if values.dim() > 2:
            self._scored(tuple(values.shape[:-1]))

    def _scored(self, shape: tuple[int, ...]) -> None:
        if len(self.scored) < MOST_SCORES:
            self.scored.add(shape)
        for told in {id(each): each for each in self.pending}.values():
            told.used += told.kind == SPLIT and told.after[:-1] == shape
        self.pending = [each for each in self.pending if each.kind != SPLIT]

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """A layer gets the result, or what was made of it without another form."""
        del hub
        import torch  # noqa: PLC0415 - only where torch runs

        if not args or not (self.pending or self.prepared) or not torch.is_grad_enabled():
            return
        shape = tuple(getattr(args[0], "shape", ()))
        if not depth:
            for told in self.prepared:
                told.used += told.calls <= ONCE and shape[1:] == told.after[1:] and shape[:1] < told.after[:1]
        if not any(each.dim() > 1 for each in module.parameters(recurse=False)) and not _parametrized(module):
            return
        convolves = isinstance(module, torch.nn.modules.conv._ConvNd)  # noqa: SLF001 - all that take channels first
        for each in [one for one in self.pending if one.kind != SPLIT and one.after == shape]:
            each.used += convolves or each.kind != PACKED
            self.pending.remove(each)

    def stepped(self, hub: Any, optimizer: Any) -> None:
        """What was not used by now is not."""
        del hub, optimizer
        self.pending.clear()

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By place."""
        del hub
        if not self.places:
            raise NotImplementedError("no reshape reads axes for others")
        return {
            "places": [
                {
                    "kind": each.kind,
                    "shapes": f"{each.before} and {each.after}",
                    "where": each.where,
                    "calls": each.calls,
                    "used": each.used,
                }
                for each in self.places.values()
            ]
        }


def _parametrized(module: Any) -> bool:
    """Whether its weight is calculated from parameters elsewhere."""
    return "parametrizations" in module._modules  # noqa: SLF001 - as it is, without asking for the weight


def _goes_back(given: Any, after: tuple[int, ...]) -> bool:
    """Whether what is reshaped is itself the view of something that may well have such a form."""
    base = given._base  # noqa: SLF001 - torch's own name for what a view was made of
    if base is None or base.numel() != given.numel() or not base.is_contiguous() or not given.is_contiguous():
        return False
    return not exchanged(tuple(base.shape), after)

"""Weights that two modules shared when the model was made: do they still?"""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.observers import Observer

LEAST_ELEMENTS = 16


@dataclass(slots=True)
class _Place:
    """A parameter within a module, and the slot of its parent that this was put in; all weakly."""

    module: Any
    name: str
    slot: dict[str, Any] = field(default_factory=dict)


class Ties(Observer):
    """Remembers which modules were given a parameter that another one has already."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.places: dict[int, list[_Place]] = {}
        self.alive: dict[int, Any] = {}
        self.slots: Any = weakref.WeakKeyDictionary()

    def registered(self, hub: Any, module: Any, name: str, parameter: Any) -> None:
        """One more place of a parameter."""
        del hub
        if parameter.numel() < LEAST_ELEMENTS:
            return
        number = id(parameter)
        if number in self.alive and self.alive[number]() is not parameter:
            self.places.pop(number, None)  # another one has its identity now
        self.alive[number] = weakref.ref(parameter)
        slot = self.slots.setdefault(module, {})
        self.places.setdefault(number, []).append(_Place(weakref.ref(module), name, slot))

    def placed(self, hub: Any, parent: Any, name: str, module: Any) -> None:
        """A module became a part of another one."""
        del hub
        self.slots.setdefault(module, {}).update(parent=weakref.ref(parent), name=name)

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Tensors that worked in two modules of a model, of which one was replaced by others."""
        return {
            "lost": [
                name
                for model in hub.trained_models()
                for name, each in model.named_parameters()
                if self._lost(model, each)
            ]
        }

    def _lost(self, model: Any, parameter: Any) -> bool:
        """One place is in the model still; where the other was stands a module with the like of it."""
        places = self.places.get(id(parameter), [])
        if len(places) < 2 or self.alive[id(parameter)]() is not parameter:
            return False
        own = {id(module) for module in model.modules()}
        kept = {id(each.module()) for each in places if getattr(each.module(), each.name, None) is parameter}
        gone = [each.slot for each in places if id(each.module()) not in own]
        return bool(kept & own) and any(_replaced(slot, own, kept, parameter) for slot in gone)


def _replaced(slot: Mapping[str, Any], own: set[int], kept: set[int], parameter: Any) -> bool:
    """Whether the model has another module there now, with a parameter of the same form."""
    parent = slot["parent"]() if slot else None
    now = getattr(parent, slot["name"], None) if id(parent) in own else None
    if now is None or id(now) in kept or not hasattr(now, "parameters"):
        return False
    return any(each is not parameter and each.shape == parameter.shape for each in now.parameters())

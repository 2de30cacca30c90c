"""Parameters that work outside of all trained models, get gradients along with theirs, and never move.

A loss with weights of its own, a head called next to the model, a bare parameter: nobody gave them to an
optimizer. What was loaded or copied, works in evaluation mode, only measures, or is moved by hand, is meant
to be so.
"""

import gc
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.observers import Observer
from harness.observers._history import leaves
from harness.watching.events import Call

LOOKS = (2, 4, 8, 16, 32, 64, 128, 256, 1024)
"""Backward passes whose history is followed to its parameters."""
LEAST_LOOKS = 3
MOST_MODULES = 20_000
MOST_LEAVES = 512
MOST_ASKED = 12
MEASURES = 0.2
"""Of its calls in training mode, so many get what no gradient goes back to: a fixed network that compares."""


@dataclass(slots=True)
class _Leaf:
    """A parameter that losses were made from; kept, for a program's own names are gone when it has ended.

    mark: of the values that it had when it was first met. strange: a module has it that did not register it.
    """

    parameter: Any
    mark: tuple[float, ...]
    looks: int = 0
    pulled: int = 0
    fixed: bool = False
    name: str = ""
    strange: bool = False


@dataclass(slots=True)
class _Root:
    """How often a root module got something that learns, and something that does not, in training mode."""

    module: Any
    learned: int = 0
    other: int = 0


class Outside(Observer):
    """Follows some losses back to all parameters that they were made from."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.passes = self.looks = self.asked = 0
        self.leaves: dict[int, _Leaf] = {}
        self.names: dict[int, tuple[Any, Any, str]] = {}
        self.roots: dict[int, _Root] = {}
        self.loaded: set[int] = set()
        self.kept: dict[int, str] = {}

    def registered(self, hub: Any, module: Any, name: str, parameter: Any) -> None:
        """Whose is it? Those of a copy, or of a module that was read from a file, are not registered."""
        del hub
        if len(self.names) < MOST_MODULES:
            self.names[id(parameter)] = (weakref.ref(parameter), weakref.ref(module), name)

    def state_loaded(self, hub: Any, module: Any, state: Any, result: Any) -> None:
        """What it holds comes from elsewhere."""
        del hub, state, result
        self.loaded |= {id(each) for each in module.parameters()}

    def called(self, hub: Any, call: Call) -> None:
        """What does a root module get?"""
        from harness.watching.tensors import tensors_in  # noqa: PLC0415 - brings torch

        del hub
        if call.depth or not call.module.training:
            return
        told = self.roots.setdefault(id(call.module), _Root(weakref.ref(call.module)))
        if any(each.requires_grad for each in tensors_in(call.given)):
            told.learned += 1
        else:
            told.other += 1

    def backward_ended(self, hub: Any, roots: Any) -> None:
        """Which parameters was this loss made from, and did they get a gradient?"""
        self.passes += 1
        if self.passes not in LOOKS or not roots:
            return
        found: dict[int, Any] = {}
        for root in roots:
            found |= leaves(root)
        held = _held(hub)
        if not set(found) & held:
            return
        self.looks += 1
        if self.looks == LEAST_LOOKS:
            self.kept = self._in_lists(held)
        for number, parameter in found.items():
            if number not in held and _is_parameter(parameter) and len(self.leaves) < MOST_LEAVES:
                told = self.leaves.setdefault(number, _Leaf(parameter, _mark(parameter)))
                self._look(number, told)

    def _look(self, number: int, leaf: _Leaf) -> None:
        gradient = leaf.parameter.grad
        leaf.looks += 1
        leaf.pulled += gradient is not None and bool(_dense(gradient).any())
        owner, name = self._owner(number)
        leaf.fixed |= owner is not None and not owner.training
        leaf.name = f"{type(owner).__name__}.{name}" if owner is not None else ""
        if leaf.looks == LEAST_LOOKS and owner is None:
            self.asked += 1  # each question goes through all of memory; so many are those of a copy
            leaf.strange = self.asked > MOST_ASKED or _of_module(leaf.parameter)

    def _owner(self, number: int) -> tuple[Any, str]:
        """The module that a parameter was registered with and that still has it, and its name there."""
        parameter, module, name = self.names.get(number, (_none, _none, ""))
        owner = module()
        kept = owner is not None and parameter() is not None and owner._parameters.get(name) is parameter()  # noqa: SLF001 - without its cost
        return (owner, name) if kept else (None, "")

    def _in_lists(self, held: set[int]) -> dict[int, str]:
        """By parameter, the attribute of a module whose own are held: a list or a dictionary of modules."""
        owners = {id(owner): owner for number in held if (owner := self._owner(number)[0]) is not None}
        return {
            id(parameter): f"{type(owner).__name__}.{name}"
            for owner in owners.values()
            for name, value in vars(owner).items()
            if name != "_modules"
            for module in _modules_in(value)
            for parameter in module.parameters()
        }

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Names of those parameters, and whether a module that they belong to may be meant to be fixed."""
        if not self.looks:
            raise NotImplementedError("no loss was followed back to parameters that an optimizer holds")
        left = {number: each for number, each in self.leaves.items() if self._forgotten(hub, number, each)}
        meant = self._meant(hub)
        return {
            "uncovered": [
                each.name or f"a parameter of shape {tuple(each.parameter.shape)}" for each in left.values()
            ],
            "meant": sum(number in meant for number in left),
            "held": len(_held(hub)),
            "in_lists": sorted({self.kept[number] for number in left if number in self.kept}),
        }

    def _forgotten(self, hub: Any, number: int, leaf: _Leaf) -> bool:
        """Whether it took part throughout, always got a gradient, and nothing says that it is to stay."""
        throughout = leaf.looks >= max(LEAST_LOOKS, 0.8 * self.looks) and leaf.pulled == leaf.looks
        if not throughout or leaf.fixed or leaf.strange or _mark(leaf.parameter) != leaf.mark:
            return False
        inside = {id(each) for model in hub.trained_models() for each in model.parameters()}
        return number not in _held(hub) | inside | self.loaded

    def _meant(self, hub: Any) -> set[int]:
        """Parameters of root modules that may be meant to be fixed.

        They get what does not learn, too; or no more than that, and no trained model gets what they give.
        """
        roots = {number: (each, each.module()) for number, each in self.roots.items()}
        trained = {id(model) for model in hub.trained_models()}
        fed = any(told.learned for number, (told, _) in roots.items() if number in trained)
        return {
            id(parameter)
            for told, module in roots.values()
            if module is not None
            and (told.other > MEASURES * (told.learned + told.other) if told.learned else not fed)
            for parameter in module.parameters()
        }


def _modules_in(value: Any) -> list[Any]:
    """The modules in a plain list, tuple or dictionary."""
    import torch  # noqa: PLC0415 - only where torch runs

    every = value.values() if type(value) is dict else value if type(value) in {list, tuple} else ()
    return [each for each in every if isinstance(each, torch.nn.Module)]


def _none() -> None:
    """The reference to nothing."""


def _held(hub: Any) -> set[int]:
    """Parameters of all optimizers, by identity."""
    groups = (group for one in hub.optimizers.values() for group in one.param_groups)
    return {id(each) for group in groups for each in group["params"]}


def _of_module(parameter: Any) -> bool:
    """Whether some module has it: a copy, or one that was read from a file."""
    import torch  # noqa: PLC0415 - only where torch runs

    return any(
        isinstance(owner, torch.nn.Module) or (isinstance(owner, dict) and owner.get("_parameters") is names)
        for names in gc.get_referrers(parameter)
        if isinstance(names, dict)
        for owner in gc.get_referrers(names)
    )


def _is_parameter(value: Any) -> bool:
    import torch  # noqa: PLC0415 - only where torch runs

    return isinstance(value, torch.nn.Parameter) and value.requires_grad


def _dense(gradient: Any) -> Any:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _mark(parameter: Any) -> tuple[float, ...]:
    """Numbers that are others once anybody writes to it."""
    values = parameter.detach().double().reshape(-1)
    return (float(values.norm()), float(values.sum()), *values[:4].tolist())

"""Do the optimizers hold what the model trains: all of it, and nothing that the model no longer has?"""

import re
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.observers import Observer
from harness.watching.events import Call

SHARING = re.compile(r"\bshar(e|es|ed|ing)\b|\btied\b|\balbert\b|\buniversal transformer\b", re.IGNORECASE)


class Parameters(Observer):
    """Compares parameters that receive gradients with those that optimizers hold."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.frozen_then: set[int] = set()
        self.inner: dict[int, Any] = {}
        self.received: dict[int, bool] = {}
        self.used: set[int] = set()
        self.seen = 0
        self.optimizer_order: dict[int, set[int]] = {}
        self.known: dict[int, Any] = {}
        self.first: dict[int, float] = {}
        self.roots: dict[int, Any] = {}

    def optimizer_made(self, hub: Any, optimizer: Any) -> None:
        """Which parameters were frozen when it was made?"""
        del hub
        held = [each for group in optimizer.param_groups for each in group["params"]]
        self.frozen_then |= {id(each) for each in held if not each.requires_grad}

    def called(self, hub: Any, call: Call) -> None:
        """Every module that works, within or without the one that was called first."""
        del hub
        if id(call.module) not in self.inner:
            self.inner[id(call.module)] = weakref.ref(call.module)
        self.used.add(id(call.module))
        if not call.depth:
            self.roots[id(call.module)] = self.inner[id(call.module)]

    def backward_ended(self, hub: Any, roots: Any) -> None:
        """Who received a gradient?"""
        del roots
        self.seen += 1
        if not hub.sampled(self.seen - 1, first=16, every=64):
            return
        for model in hub.models.values():
            for parameter in model.parameters():
                if parameter.grad is not None and not self.received.get(id(parameter)):
                    gradient = parameter.grad
                    self.first.setdefault(id(parameter), _size(parameter))
                    self.received[id(parameter)] = bool(
                        (gradient.coalesce().values() if gradient.is_sparse else gradient).any()
                    )

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Names of parameters by what became of them."""
        if not hub.models:
            raise NotImplementedError("no module with parameters was called")
        named = [(name, each, model) for model in hub.models.values() for name, each in _named(hub, model)]
        return {
            **_sizes(hub, named),
            **self._unheld(hub, named),
            **_by_training(hub, {id(each) for _, each, _ in named}),
            "trained_frozen": _adapters_frozen(named, _given_to_optimizers(hub)),
            "adapters_train": _adapters_train(named, _given_to_optimizers(hub)),
            "idle_modules": self._never_called(hub),
            "frozen_zeros": _frozen_zeros(hub.trained_models()),
            "empty_groups": [
                [len(group["params"]) for group in hub.optimizers[number].param_groups].count(0)
                for number in hub.trainings
            ],
            "unregistered": self._unregistered(hub),
            "repeated": _repeated(hub.trained_models()),
            "sharing": _tells_of_sharing(),
            "marked_modules": _marked(hub.trained_models()),
            "never_stepped": [
                f"{type(one).__name__} with {sum(len(group['params']) for group in one.param_groups)} tensors"
                for number, one in hub.optimizers.items()
                if number not in hub.trainings and _stands_alone(one, hub) and self._pulled(one)
            ],
        }

    def _unheld(self, hub: Any, named: list[tuple[str, Any, Any]]) -> dict[str, Any]:
        """Parameters of trained models that get gradients and that no optimizer holds; and the other way."""
        held, trained = _held(hub), {id(model) for model in hub.trained_models()}
        return {
            "uncovered": [
                name
                for name, each, model in named
                if id(each) not in held
                and each.requires_grad
                and self.received.get(id(each))
                and id(model) in trained
                and self.first.get(id(each)) == _size(each)  # else the program itself updates it
            ],
            "held_frozen": [name for name, each, _ in named if id(each) in held and not each.requires_grad],
        }

    def _pulled(self, optimizer: Any) -> bool:
        """Whether any of its parameters ever got a gradient; a model that is only evaluated gets none."""
        held = [each for group in optimizer.param_groups for each in group["params"]]
        return any(self.received.get(id(each)) for each in held)

    def _never_called(self, hub: Any) -> list[str]:
        """Modules with parameters of their own that no forward pass reached."""
        return [
            name
            for model in hub.trained_models()
            for name, module in model.named_modules()
            if id(module) not in self.used and any(True for _ in module.parameters(recurse=False))
        ]

    def _unregistered(self, hub: Any) -> list[str]:
        """Modules with trainable parameters that worked, and belong to no model that was called."""
        alone = [root for each in self.roots.values() if (root := each()) is not None]
        owned = {id(module) for model in (*hub.models.values(), *alone) for module in model.modules()}
        held = _held(hub)
        alive = [reference() for number, reference in self.inner.items() if number not in owned]
        return [
            type(module).__name__
            for module in alive
            if module is not None
            and any(
                each.requires_grad and id(each) not in held and each.grad is not None
                for each in module.parameters()
            )
        ]


def _size(parameter: Any) -> float:
    return float(parameter.detach().double().norm())


def _named(hub: Any, model: Any) -> list[tuple[str, Any]]:
    several = len(hub.models) > 1
    return [
        (f"{type(model).__name__}.{name}" if several else name, each)
        for name, each in model.named_parameters()
    ]


def _held(hub: Any) -> set[int]:
    """Parameters of all optimizers, by identity."""
    groups = (group for one in hub.optimizers.values() for group in one.param_groups)
    return {id(each) for group in groups for each in group["params"]}


def _sizes(hub: Any, named: list[tuple[str, Any, Any]]) -> dict[str, Any]:
    """How much there is; what two models share counts once."""
    each_once = {id(each): each for _, each, _ in named}
    return {
        "parameters": sum(each.numel() for each in each_once.values()),
        "trainable": sum(each.numel() for each in each_once.values() if each.requires_grad),
        "tensors": len(each_once),
        "held": len(_held(hub) & set(each_once)),
        "models": [type(model).__name__ for model in hub.models.values()],
    }


def _by_training(hub: Any, owned: set[int]) -> dict[str, Any]:
    """What the optimizers hold that belongs to no model, or that no gradient ever reached."""
    return {
        "stale": [_stale(one, owned) for one in hub.trainings.values()],
        "stale_names": [
            name
            for one in hub.trainings.values()
            for name, each in zip(one.tensors, one.parameters, strict=True)
            if id(each) not in owned
        ],
        "never_received": [
            [
                name
                for name, absent in zip(one.tensors, one.absent, strict=True)
                if one.count and absent == one.count
            ]
            for one in hub.trainings.values()
        ],
    }


def _frozen_zeros(models: list[Any]) -> list[str]:
    """Matrices of trained models that are zero throughout, and that nothing is to change."""
    return [
        name
        for model in models
        for name, each in model.named_parameters()
        if not each.requires_grad and each.dim() > 1 and each.numel() > 1 and not each.detach().any()
    ]


def _marked(models: list[Any]) -> list[str]:
    """Modules with a `requires_grad` of their own that their parameters do not share."""
    return [
        name or type(model).__name__
        for model in models
        for name, module in model.named_modules()
        if "requires_grad" in vars(module)
        and any(each.requires_grad != vars(module)["requires_grad"] for each in module.parameters())
    ]


def _stale(training: Any, owned: set[int]) -> int:
    """Tensors that the optimizer holds, no model has, and no gradient ever reached."""
    return sum(
        id(each) not in owned and absent == training.count
        for each, absent in zip(training.parameters, training.absent, strict=True)
    )


def _adapters_frozen(named: list[tuple[str, Any, Any]], trained: list[Any]) -> list[str]:
    """Parameters of low-rank adapters that cannot train: their names say what they are for.

    Of the models that train, if there are any: others may have been loaded for inference. Each once, under
    the longest of its names, which is that within the whole model.
    """
    found: dict[int, str] = {}
    for name, each, model in named:
        meant = not trained or any(model is one for one in trained)
        if meant and "lora_" in name and not each.requires_grad and len(name) > len(found.get(id(each), "")):
            found[id(each)] = name
    return list(found.values())


def _given_to_optimizers(hub: Any) -> list[Any]:
    """Models of which an optimizer was given some parameter, be it frozen."""
    held = _held(hub)
    return [one for one in hub.models.values() if any(id(each) in held for each in one.parameters())]


def _adapters_train(named: list[tuple[str, Any, Any]], trained: list[Any]) -> bool:
    """Whether each trained model that has frozen parts of adapters has others that train."""
    own = [
        (id(model), each.requires_grad)
        for name, each, model in named
        if "lora_" in name and any(model is one for one in trained)
    ]
    return {model for model, _ in own} == {model for model, trains in own if trains}


def _repeated(models: list[Any]) -> list[str]:
    """Containers that hold one and the same module with parameters several times."""
    import torch  # noqa: PLC0415 - only where torch runs

    found = []
    for model in models:
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.ModuleList | torch.nn.Sequential):
                # An activation with a slope of its own, or a scale, is often shared on purpose.
                heavy = [id(each) for each in module if any(own.dim() > 1 for own in each.parameters())]
                if len(set(heavy)) < len(heavy):
                    found.append(name or type(model).__name__)
    return found


def _tells_of_sharing() -> bool:
    """Whether the program's own text speaks of weights that are shared: then it is meant."""
    try:
        return bool(SHARING.search(Path(sys.argv[0]).read_text(errors="replace")))
    except (OSError, IndexError):
        return False


def _stands_alone(optimizer: Any, hub: Any) -> bool:
    """Whether it holds parameters of a model that worked, and that no other optimizer trains."""
    own = {id(each) for group in optimizer.param_groups for each in group["params"]}
    others = {id(each) for one in hub.trainings.values() for each in one.parameters}
    working = {id(each) for model in hub.models.values() for each in model.parameters()}
    return bool(own & working) and not own & others

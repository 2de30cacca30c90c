"""Models that nobody trains: do they follow the trained one, or stand where they began?"""

from collections.abc import Mapping
from typing import Any

from harness.observers import Observer
from harness.observers._rounding import Watched, coarse
from harness.watching.events import Call
from harness.watching.named import names_of

MOST_WATCHED = 8


class Copies(Observer):
    """Finds models of the trained one's form that no optimizer holds."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.first: dict[int, tuple[float, ...]] = {}
        self.quiet_inputs: dict[int, set[int]] = {}
        self.calls: dict[int, list[int]] = {}
        self.loads: dict[int, int] = {}
        self.at: dict[int, int] = {}
        self.names: dict[int, list[str]] = {}
        self.watched: dict[int, Watched] = {}

    def converted(self, hub: Any, module: Any) -> None:
        """A model changed its number format: from now on a copy in sixteen bits is watched."""
        if coarse(module) and len(self.watched) < MOST_WATCHED:
            self.watched[id(module)] = Watched(module, hub.step)

    def stepping(self, hub: Any, optimizer: Any, late: bool) -> None:
        """Do the copies move? Before an update: the source is what a copy has followed last."""
        del optimizer, late
        step = hub.step
        if not self.watched or not (hub.sampled(step) or hub.sampled(step + 1)):
            return
        for one in self.watched.values():
            model = one.model()
            shapes = None if model is None else _shapes(model)
            source = next((each for each in hub.trained_models() if _shapes(each) == shapes), None)
            if source is not None and source is not model:
                one.look(source, step)

    def called(self, hub: Any, call: Call) -> None:
        """Remember how a model stood when it was first called, and what for."""
        import torch  # noqa: PLC0415 - only where torch runs

        if call.depth or id(call.module) not in hub.models:
            return
        if id(call.module) not in self.first:
            self.first[id(call.module)] = _state(call.module)
            self.at[id(call.module)] = hub.step
            self.names[id(call.module)] = sorted(names_of(call.module))
            if id(call.module) not in self.watched:
                self.converted(hub, call.module)
        counts = self.calls.setdefault(id(call.module), [0, 0, 0])
        counts[0 if torch.is_grad_enabled() else 1 if call.module.training else 2] += 1

    def state_loaded(self, hub: Any, module: Any, state: Any, result: Any) -> None:
        """Weights came from elsewhere."""
        del hub, state, result
        self.loads[id(module)] = self.loads.get(id(module), 0) + 1

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By untrained model: was it equal to a trained one at first, did it ever change?"""
        trained = {id(model) for model in hub.trained_models()}
        return {
            "models": [self._told(hub, number, trained) for number in hub.models if number not in trained]
        }

    def _told(self, hub: Any, number: int, trained: set[int]) -> dict[str, Any]:
        model = hub.models[number]
        alike = [other for other in trained if _shapes(hub.models[other]) == _shapes(model)]
        counts, seen = self.calls.get(number, [0, 0, 0]), self.watched.get(number)
        return {
            "model": type(model).__name__,
            "names": self.names.get(number, []),
            "alike": len(alike),
            "equal_at_first": any(self.first.get(other) == self.first.get(number) for other in alike),
            "changed": self.first.get(number) != _state(model),
            "with_gradients": counts[0],
            "quiet": counts[1] + counts[2],
            "evaluated": counts[2],
            "trained_quiet": max((sum(self.calls.get(each, [0, 0, 0])[1:]) for each in alike), default=0),
            "loaded": self.loads.get(number, 0),
            "first_step": self.at.get(number, 0),
            "trained_moved": any(self.first.get(other) != _state(hub.models[other]) for other in alike),
            "likeness": max((_likeness(hub.models[other], model) for other in alike), default=0.0),
            "stale_statistics": _untouched(model)
            if any(not _untouched(hub.models[each]) for each in alike)
            else 0,
            **(seen.told(hub.step) if seen is not None and seen.model() is model else {}),
            "gone": max((_gone(hub, hub.models[other], model) for other in alike), default=0.0),
            "equal_at_last": any(_state(hub.models[other]) == _state(model) for other in alike),
        }


def _state(model: Any) -> tuple[float, ...]:
    from harness.watching.sampling import norms  # noqa: PLC0415 - brings torch

    return tuple(norms(list(model.parameters())).tolist())


def _untouched(model: Any) -> int:
    """Normalization layers whose running statistics are those that they were made with."""
    return sum(
        not bool(each.running_mean.any()) and bool((each.running_var == 1).all())
        for each in model.modules()
        if getattr(each, "running_mean", None) is not None and getattr(each, "running_var", None) is not None
    )


def _shapes(model: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(each.shape) for each in model.parameters())


def _gone(hub: Any, trained: Any, model: Any) -> float:
    """How far a copy has gone, of the way that the trained one went from its first update on."""
    import numpy as np  # noqa: PLC0415 - light, but only here

    from harness.watching.sampling import sample  # noqa: PLC0415 - brings torch

    own = dict(zip(map(id, trained.parameters()), model.parameters(), strict=True))
    for training in hub.trainings.values():
        if (
            training.first is None
            or training.last is None
            or any(id(p) not in own for p in training.parameters)
        ):
            continue
        now = sample([own[id(each)] for each in training.parameters], training.places).values
        first, last = (each.cut(training.counts).values for each in (training.first, training.last))
        return float(np.linalg.norm(now - first) / max(float(np.linalg.norm(last - first)), 1e-30))
    return 0.0


def _likeness(one: Any, other: Any) -> float:
    """The cosine between all weights of two models: 1 for the same, near 0 for strangers."""
    import torch  # noqa: PLC0415 - only where torch runs

    with torch.no_grad():
        pairs = [
            (a.detach().double().reshape(-1), b.detach().double().reshape(-1))
            for a, b in zip(one.parameters(), other.parameters(), strict=True)
            if a.dim() > 1
        ]
        product = sum(float(a @ b) for a, b in pairs)
        sizes = [sum(float(values @ values) for values in side) ** 0.5 for side in zip(*pairs, strict=True)]
    return product / max(sizes[0] * sizes[1], 1e-12) if pairs else 0.0

"""Checkpoints that are read: does anything of them arrive, and does the optimizer get its own back?"""

from collections.abc import Mapping
from typing import Any

from harness.observers import Observer
from harness.watching.places import place


class Checkpoints(Observer):
    """Looks at every `load_state_dict` of a module, and at what is saved."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.loads: list[dict[str, Any]] = []
        self.saves = 0
        self.waiting: dict[int, tuple[str, int]] = {}
        self.earlier: set[int] = set()
        self.resumed: list[int] = []
        self.kept: list[Any] = []
        self.used = 0

    def loaded(self, hub: Any, value: Any) -> None:
        """A file was read: does it hold the state of an optimizer or a scheduler?"""
        self.earlier |= set(hub.trainings)
        for state in _training_states(value):
            self.waiting[id(state)] = ("scheduler" if "last_epoch" in state else "optimizer", hub.updates)
            self.resumed.append(id(state))
            self.kept.append(state)  # so that no other object takes its identity

    def state_used(self, hub: Any, owner: Any, state: Any) -> None:
        """The state is given to an optimizer or a scheduler."""
        del hub, owner
        self.used += self.waiting.pop(id(state), None) is not None

    def saved(self, hub: Any, value: Any) -> None:
        """A file was written."""
        del hub, value
        self.saves += 1

    def state_loaded(self, hub: Any, module: Any, state: Any, result: Any) -> None:
        """Weights were read."""
        missing, unexpected = list(result.missing_keys), list(result.unexpected_keys)
        own = len(module.state_dict())
        if len(self.loads) < 100:
            self.loads.append(
                {
                    "model": type(module).__name__, "where": place(), "tensors": own, "missing": len(missing),
                    "unexpected": len(unexpected), "given": len(state), "step": hub.step,
                    "aliased": _aliased(module, state),
                    "first_missing": missing[:1], "first_unexpected": unexpected[:1],
                }
            )  # fmt: skip

    def _resumed(self, hub: Any, number: int) -> bool:
        """Whether the training goes on as it was: with another part of its state, or by the same settings."""
        if self.used:
            return True
        states = [state for state in self.kept if "param_groups" in state]
        steppers = [hub.optimizers[each] for each in hub.trainings if each not in self.earlier]
        own = [state for state in states if id(state) == number] or states
        return any(_settings(state) == _settings(one.state_dict()) for state in own for one in steppers)

    def found(self, hub: Any) -> Mapping[str, Any]:
        """All loads; of optimizer states that were read and never used, how many updates followed."""
        if not self.loads and not self.saves and not self.resumed:
            raise NotImplementedError("the program reads and writes no checkpoint")
        return {
            "saves": self.saves,
            "loads": self.loads,
            "unused_states": [hub.updates - at for _, at in self.waiting.values()],
            "resumed": [self._resumed(hub, number) for number in self.waiting],
            "unused_kinds": [kind for kind, _ in self.waiting.values()],
        }


def _training_states(value: Any, depth: int = 0) -> list[Any]:
    """State dictionaries of optimizers and schedulers within what was read."""
    if not isinstance(value, Mapping) or depth > 3:
        return []
    if "last_epoch" in value and "_step_count" in value:
        return [value]
    if "param_groups" in value and "state" in value:
        return [value] if value["state"] else []
    return [found for each in value.values() for found in _training_states(each, depth + 1)]


def _settings(state: Any) -> list[Any]:
    """What an optimizer was told, by group: how many tensors, at which rate to begin with."""
    return [
        (len(group["params"]), group.get("initial_lr", group.get("lr")), group.get("betas"))
        for group in state["param_groups"]
    ]


def _aliased(module: Any, state: Any) -> int:
    """Tensors of the state that are the module's own memory: to load them changes nothing."""
    own = {name: value.data_ptr() for name, value in module.state_dict().items() if value.numel()}
    return sum(getattr(state.get(name), "data_ptr", int)() == address for name, address in own.items())

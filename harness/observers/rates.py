"""Which learning rates were used, and do schedulers act on the optimizer that steps, as long as they last?"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from harness.observers import Observer


class Rates(Observer):
    """Reads learning rates at every update, and schedulers at the end."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.schedulers: dict[int, tuple[Any, Any, int]] = {}
        self.groups: dict[int, list[list[float]]] = {}

    def scheduler_made(self, hub: Any, scheduler: Any, optimizer: Any) -> None:
        """One more scheduler."""
        del hub
        self.schedulers[id(scheduler)] = (scheduler, optimizer, int(getattr(scheduler, "last_epoch", 0)))

    def stepping(self, hub: Any, optimizer: Any, late: bool) -> None:
        """The rate of every group."""
        del hub, late
        rates = [float(group.get("lr", 0.0)) for group in optimizer.param_groups]
        told = self.groups.setdefault(id(optimizer), [])
        if len(told) < 100_000:
            told.append(rates)

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By training the rates in short; by scheduler how far it went."""
        return {
            "trainings": [
                _rates(self.groups.get(number, []), _aim(hub.optimizers.get(number)))
                for number in hub.trainings
            ],
            "schedulers": [self._scheduler(hub, *each) for each in self.schedulers.values()],
        }

    def _scheduler(self, hub: Any, scheduler: Any, optimizer: Any, began: int) -> dict[str, Any]:
        period = getattr(scheduler, "T_max", None) or getattr(scheduler, "total_steps", None)
        held = {id(each) for group in optimizer.param_groups for each in group["params"]}
        working = {id(each) for model in hub.models.values() for each in model.parameters()}
        # By what it holds: an optimizer may be wrapped in another one, as Accelerate does.
        acted = [one for one in hub.trainings.values() if held & {id(each) for each in one.parameters}]
        return {
            "kind": type(scheduler).__name__,
            "advanced": int(getattr(scheduler, "last_epoch", 0)) - began,
            "period": int(period) if isinstance(period, int | float) else 0,
            "updates": sum(one.count for one in acted),
            "attached": bool(acted),
            "working": bool(held & working),
        }


def _aim(optimizer: Any) -> float:
    """The rate that a schedule goes up to or down from, of the group with the largest; 0 without one."""
    groups = [] if optimizer is None else optimizer.param_groups
    return max((float(each.get("max_lr", each.get("initial_lr", 0.0))) for each in groups), default=0.0)


def _rates(groups: list[list[float]], aim: float) -> dict[str, Any]:
    if not groups:
        return {}
    rates = [max(each, default=0.0) for each in groups]
    peak = max(rates)
    zero = [rate <= 1e-9 * peak if peak else True for rate in rates]
    idle = len(zero) - 1 - max((n for n, each in enumerate(zero) if not each), default=-1)
    width = min(len(each) for each in groups)
    return {
        "updates": len(rates),
        "peak": peak,
        "aim": aim,
        "falls": sum(1 for before, after in pairwise(rates) if after < before),
        "rises_late": sum(1 for before, after in pairwise(rates[-(len(rates) // 3) :]) if after > before),
        "last": rates[-1],
        "first": rates[0],
        "different": len(set(rates)),
        "zero": sum(zero),
        "idle_end": idle,
        "first_idle": len(rates) - idle,
        "turns": sum(1 for a, b, c in zip(rates, rates[1:], rates[2:], strict=False) if b < a and c > b),
        "zero_groups": sum(all(each[n] == 0 for each in groups) for n in range(width)),
        "groups": width,
    }

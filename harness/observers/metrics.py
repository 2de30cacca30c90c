"""What is a scheduler told that waits for a metric to improve, and does training improve the other way?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.observers import Observer
from harness.watching.events import Loss

MOST = 10_000


@dataclass(slots=True)
class _Told:
    """A scheduler: what it was told, and mean losses since the time before, in training and evaluation."""

    scheduler: Any
    metrics: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    cuts: int = 0


class Metrics(Observer):
    """Reads what schedulers such as ReduceLROnPlateau are given, and whether they cut the rate."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.told: dict[int, _Told] = {}
        self.rates: dict[int, float] = {}
        self.trained: list[float] = []
        self.asked: list[float] = []

    def backward_begins(self, hub: Any, roots: Any) -> None:
        """A training loss."""
        value = sum(float(root.detach()) for root in roots if root.numel() == 1) / hub.scale
        if len(self.trained) < MOST:
            self.trained.append(value)

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """An evaluated one."""
        del hub
        if not loss.result.requires_grad and loss.result.numel() == 1 and len(self.asked) < MOST:
            self.asked.append(float(loss.result))

    def stepping(self, hub: Any, optimizer: Any, late: bool) -> None:
        """The rate before a scheduler acts."""
        del hub, late
        self.rates[id(optimizer)] = _rate(optimizer)

    def metric_given(self, hub: Any, scheduler: Any, metric: Any) -> None:
        """One step of a scheduler."""
        del hub
        trained, asked = self.trained, self.asked
        self.trained, self.asked = [], []
        told = self.told.setdefault(id(scheduler), _Told(scheduler))
        value = float(getattr(metric, "detach", lambda: metric)())
        if not trained or not math.isfinite(value) or len(told.metrics) >= MOST:
            return
        told.metrics.append(value)
        told.losses.append(float(np.mean(trained)))
        if asked:
            told.held_out.append(float(np.mean(asked)))
        rate = _rate(scheduler.optimizer)
        told.cuts += rate < self.rates.get(id(scheduler.optimizer), rate)
        self.rates[id(scheduler.optimizer)] = rate

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By scheduler: how metric and loss moved, and together or apart."""
        del hub
        if not self.told:
            raise NotImplementedError("no scheduler was given a metric")
        return {"schedulers": [_summary(told) for told in self.told.values() if told.metrics]}


def _rate(optimizer: Any) -> float:
    return max((float(group.get("lr", 0.0)) for group in optimizer.param_groups), default=0.0)


def _summary(told: _Told) -> dict[str, Any]:
    metrics, losses = np.array(told.metrics), np.array(told.losses)
    rising = getattr(told.scheduler, "mode", "min") == "max"
    return {
        "kind": type(told.scheduler).__name__,
        "mode": "max" if rising else "min",
        "calls": len(metrics),
        "cuts": told.cuts,
        "evaluated": len(told.held_out) == len(metrics),
        "correlation": _together(metrics, losses),
        "with_held_out": _together(metrics, np.array(told.held_out)),
        "best_at": int(np.argmax(metrics) if rising else np.argmin(metrics)),
        "first": float(metrics[0]),
        "last": _last(metrics),
        "first_loss": float(losses[0]),
        "last_loss": _last(losses),
    }


def _together(one: Any, other: Any) -> float:
    """Their correlation: 0 where there is none to tell."""
    moving = len(one) == len(other) > 2 and one.std() > 0 and other.std() > 0
    return float(np.corrcoef(one, other)[0, 1]) if moving else 0.0


def _last(values: Any) -> float:
    """The mean of the last third."""
    return float(values[-max(1, len(values) // 3) :].mean())

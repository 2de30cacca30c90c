"""The optimizers' rules of `harness.optimizers`, each with one line wrong; for the NumPy backend."""

from dataclasses import dataclass

import numpy as np

from harness.model import Array
from harness.optimizers import AdamWRule, Rule, SgdRule
from harness.spec import AdamW


@dataclass(kw_only=True, slots=True)
class AllDecayAdamW(AdamWRule):
    """Weight decay acts on gains and biases too."""

    def update(self, name: str, weight: Array, gradient: Array, learning_rate: float) -> None:
        """Move a whole tensor, whatever its axes."""
        weight += self.change(name, weight, gradient, learning_rate, decays=True)


@dataclass(kw_only=True, slots=True)
class AllDecaySgd(SgdRule):
    """Weight decay acts on gains and biases too."""

    def update(self, name: str, weight: Array, gradient: Array, learning_rate: float) -> None:
        """Move a whole tensor, whatever its axes."""
        weight += self.change(name, weight, gradient, learning_rate, decays=True)


@dataclass(kw_only=True, slots=True)
class CoupledAdam(Rule):
    """Adam with weight decay added to the gradient (Kingma and Ba, 2015), so that Adam scales it too."""

    spec: AdamW

    def _change(
        self,
        memory: dict[str, Array],
        weight: Array,
        gradient: Array,
        learning_rate: float,
        decays: bool | Array,
    ) -> Array:
        return _adam(self.spec, memory, gradient + _decay(self.spec, weight, decays), learning_rate)


@dataclass(kw_only=True, slots=True)
class UncorrectedAdamW(Rule):
    """AdamW whose averages start at zero and are used as they are."""

    spec: AdamW

    def _change(
        self,
        memory: dict[str, Array],
        weight: Array,
        gradient: Array,
        learning_rate: float,
        decays: bool | Array,
    ) -> Array:
        change = _adam(self.spec, memory, gradient, learning_rate, corrected=False)
        return change - learning_rate * _decay(self.spec, weight, decays)


def _adam(
    spec: AdamW, memory: dict[str, Array], gradient: Array, rate: float, *, corrected: bool = True
) -> Array:
    (p, q), zero = spec.betas, np.zeros_like(gradient)
    number = memory["updates"] = memory.get("updates", np.zeros((), np.int64)) + 1
    first = memory["first"] = p * memory.get("first", zero) + (1 - p) * gradient
    second = memory["second"] = q * memory.get("second", zero) + (1 - q) * gradient**2
    if corrected:
        first, second = first / (1 - p ** int(number)), second / (1 - q ** int(number))
    change: Array = -rate * first / (np.sqrt(second) + spec.eps)
    return change


def _decay(spec: AdamW, weight: Array, decays: bool | Array) -> Array:
    decayed: Array = np.where(decays, spec.weight_decay * weight, 0.0)
    return decayed

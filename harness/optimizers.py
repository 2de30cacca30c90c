"""The optimizers' rules in NumPy, written beside their formulas: what every backend's update is held to.

Legend: w weight, g gradient, r learning rate, d weight decay, t the update's number from 1. Arrays of any
shape, also a choice of a tensor's elements: all rules act on each element alone. Weight decay acts on tensors
with two or more axes only; gains and biases are left free.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.model import Array
from harness.spec import AdamW, AdamWOptimizer, Sgd, SgdOptimizer

State = dict[str, dict[str, Array]]
"""By tensor, then by quantity: what a rule remembers from one update to the next."""


@dataclass(kw_only=True, slots=True)
class Rule(ABC):
    """A rule and what it remembers of each tensor. Works in the precision of the arrays that it is given."""

    memory: State = field(default_factory=dict)

    def update(self, name: str, weight: Array, gradient: Array, learning_rate: float) -> None:
        """Move a whole tensor, in place."""
        weight += self.change(name, weight, gradient, learning_rate, weight.ndim >= 2)

    def change(
        self, name: str, weight: Array, gradient: Array, learning_rate: float, decays: bool | Array
    ) -> Array:
        """What one update adds to a weight; counts as an update of `name`, and changes no argument.

        Args:
            name: under which the rule remembers; always the same elements under one name.
            weight: before the update.
            gradient: as the optimizer sees it, in the shape of the weight.
            learning_rate: of this step.
            decays: whether weight decay acts, on all or on each element.
        """
        with np.errstate(all="ignore"):  # a non-finite weight is judged by the suite, not warned about
            return self._change(self.memory.setdefault(name, {}), weight, gradient, learning_rate, decays)

    def state(self) -> State:
        """A copy of all that is remembered."""
        return _copy(self.memory)

    def restore(self, state: State) -> None:
        """Return to a `state`; later updates leave that copy alone."""
        self.memory = _copy(state)

    @abstractmethod
    def _change(
        self,
        memory: dict[str, Array],
        weight: Array,
        gradient: Array,
        learning_rate: float,
        decays: bool | Array,
    ) -> Array:
        """`change` with the memory of one tensor."""


@dataclass(kw_only=True, slots=True)
class SgdRule(Rule):
    """Stochastic gradient descent with momentum m (Sutskever et al., 2013, as torch writes it).

    g' = g + d w;  b = m b + g';  w = w - r b, with Nesterov w = w - r (g' + m b).
    """

    spec: Sgd

    def _change(
        self,
        memory: dict[str, Array],
        weight: Array,
        gradient: Array,
        learning_rate: float,
        decays: bool | Array,
    ) -> Array:
        slope = gradient + _decay(self.spec.weight_decay, weight, decays)
        if self.spec.momentum:
            average = memory["momentum"] = (
                self.spec.momentum * memory["momentum"] + slope if memory else slope
            )
            slope = slope + self.spec.momentum * average if self.spec.nesterov else average
        return -learning_rate * slope


@dataclass(kw_only=True, slots=True)
class AdamWRule(Rule):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), for betas p and q.

    m = p m + (1-p) g;  v = q v + (1-q) g^2;  w = w - r d w - r (m / (1-p^t)) / (sqrt(v / (1-q^t)) + eps)
    """

    spec: AdamW

    def _change(
        self,
        memory: dict[str, Array],
        weight: Array,
        gradient: Array,
        learning_rate: float,
        decays: bool | Array,
    ) -> Array:
        (p, q), zero = self.spec.betas, np.zeros_like(gradient)
        number = memory["updates"] = memory.get("updates", np.zeros((), np.int64)) + 1
        first = memory["first"] = p * memory.get("first", zero) + (1 - p) * gradient
        second = memory["second"] = q * memory.get("second", zero) + (1 - q) * gradient**2
        updates = int(number)
        direction = (first / (1 - p**updates)) / (np.sqrt(second / (1 - q**updates)) + self.spec.eps)
        return -learning_rate * (_decay(self.spec.weight_decay, weight, decays) + direction)


def rule(optimizer: SgdOptimizer | AdamWOptimizer) -> SgdRule | AdamWRule:
    """The rule of a case's `config.optimizer`, with nothing remembered yet."""
    if isinstance(optimizer, SgdOptimizer):
        return SgdRule(spec=optimizer.sgd)
    return AdamWRule(spec=optimizer.adamw)


def peak_rate(optimizer: SgdOptimizer | AdamWOptimizer) -> float:
    """The learning rate that schedules start from or rise to."""
    return optimizer.sgd.lr if isinstance(optimizer, SgdOptimizer) else optimizer.adamw.lr


def clip(gradients: Mapping[str, Array], max_norm: float) -> float:
    """Scale all gradients, in place, by max_norm / (norm + 1e-6) if that is below 1 (Pascanu et al., 2013).

    As torch's `clip_grad_norm_`: a norm that is not finite spreads to all gradients, for the suite to see.

    Returns:
        The L2 norm of all gradients together, before.
    """
    with np.errstate(all="ignore"):
        norm = float(np.linalg.norm([np.linalg.norm(gradient) for gradient in gradients.values()]))
        scale = max_norm / (norm + 1e-6)
        if not scale >= 1:  # also where it is NaN
            for gradient in gradients.values():
                np.multiply(gradient, scale, out=gradient)
    return norm


def _decay(strength: float, weight: Array, decays: bool | Array) -> Array | float:
    """Weight decay, d w, where it acts, and 0 elsewhere, even if w is not finite."""
    if not strength or decays is False:
        return 0.0
    return strength * weight if decays is True else np.where(decays, strength * weight, 0.0)


def _copy(state: State) -> State:
    return {name: {key: value.copy() for key, value in kept.items()} for name, kept in state.items()}

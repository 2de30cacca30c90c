"""A second recorder: copies of everything, plain loops over Python's numbers. Also a trainer to watch."""

import math
from dataclasses import dataclass, field

import numpy as np

from harness.spec import AdamWOptimizer


class Toy:
    """Weights and gradients that a test sets as it likes; arrays are flat."""

    def __init__(self, *weights, epsilon=None):
        self.weights = list(weights)
        self.gradients = [np.zeros_like(weight) for weight in weights]
        self.names = tuple(f"tensor{number}" for number in range(len(weights)))
        self.events = {"backward": 0, "update": 0, "zero_grad": 0}
        self.epsilon = float(np.finfo(weights[0].dtype).eps) if epsilon is None else epsilon

    def weight_arrays(self):
        return self.weights

    def gradient_arrays(self):
        return self.gradients


@dataclass
class Naive:
    """A watch that copies what it sees, for `columns`."""

    trainer: object
    weights: list = field(default_factory=list)
    gradients: list = field(default_factory=list)
    clipped: list = field(default_factory=list)
    rates: list = field(default_factory=list)

    def __post_init__(self):
        self.weights.append(copied(self.trainer.weight_arrays()))

    def gradients_ready(self):
        self.gradients.append(copied(self.trainer.gradient_arrays()))

    def gradients_clipped(self):
        self.clipped.append(copied(self.trainer.gradient_arrays()))

    def updated(self, learning_rate):
        self.weights.append(copied(self.trainer.weight_arrays()))
        self.rates.append(learning_rate)


@dataclass
class Both:
    """Two watches of one step."""

    one: object
    other: object

    def gradients_ready(self):
        self.one.gradients_ready(), self.other.gradients_ready()

    def gradients_clipped(self):
        self.one.gradients_clipped(), self.other.gradients_clipped()

    def updated(self, learning_rate):
        self.one.updated(learning_rate), self.other.updated(learning_rate)


def copied(arrays):
    return [None if array is None else [float(value) for value in array] for array in arrays]


def columns(naive, optimizer, matrices, samples):
    """All columns of a trace as nested lists, (T, P) each. samples: indices of sampled elements by tensor."""
    steps, width = range(len(naive.rates)), range(len(samples))
    moves = Moves(naive, optimizer, matrices)
    before, after = naive.weights[:-1], naive.weights[1:]
    found = {
        "gradient_norm": lambda t, p: norm(naive.gradients[t][p] or [0.0]),
        "clipped_norm": lambda t, p: norm(naive.clipped[t][p] or [0.0]),
        "gradient_largest": lambda t, p: max(abs(value) for value in naive.gradients[t][p] or [0.0]),
        "gradient_nonzero": lambda t, p: nonzero(naive.gradients[t][p], len(before[t][p])),
        "weight_norm": lambda t, p: norm(before[t][p]),
        "weight_mean": lambda t, p: sum(abs(before[t][p][i]) for i in samples[p]) / len(samples[p]),
        "update_norm": lambda t, p: norm(b - a for a, b in zip(before[t][p], after[t][p], strict=True)),
        "update_ratio": lambda t, p: moves.ratio(t, p, samples[p]),
        "update_error": lambda t, p: moves.error(t, p, samples[p]),
    }
    return {name: [[value(t, p) for p in width] for t in steps] for name, value in found.items()}


def norm(values):
    return math.sqrt(math.fsum(value * value for value in values))


def nonzero(values, size):
    return sum(value != 0 for value in values or []) / size


class Moves:
    """What happened to each element beside what the optimizer's formula gives for it."""

    def __init__(self, naive, optimizer, matrices):
        self.naive, self.optimizer, self.matrices = naive, optimizer, matrices
        self.memory = {}
        self.wanted = [self._step(step) for step in range(len(naive.rates))]

    def _step(self, t):
        return [
            [0.0] * len(weights) if gradients is None else self._tensor(t, p, weights, gradients)
            for p, (weights, gradients) in enumerate(
                zip(self.naive.weights[t], self.naive.clipped[t], strict=True)
            )
        ]

    def _tensor(self, t, p, weights, gradients):
        formula = self._adamw if isinstance(self.optimizer, AdamWOptimizer) else self._sgd
        pairs = enumerate(zip(weights, gradients, strict=True))
        return [
            formula(self.memory.setdefault((p, i), {}), w, g, self.naive.rates[t], p) for i, (w, g) in pairs
        ]

    def _sgd(self, memory, weight, gradient, rate, tensor):
        sgd = self.optimizer.sgd
        slope = gradient + (sgd.weight_decay * weight if self.matrices[tensor] else 0.0)
        if not sgd.momentum:
            return -rate * slope
        memory["b"] = sgd.momentum * memory["b"] + slope if "b" in memory else slope
        return -rate * (slope + sgd.momentum * memory["b"] if sgd.nesterov else memory["b"])

    def _adamw(self, memory, weight, gradient, rate, tensor):
        adamw = self.optimizer.adamw
        (p, q), decay = adamw.betas, adamw.weight_decay if self.matrices[tensor] else 0.0
        memory["t"] = memory.get("t", 0) + 1
        memory["m"] = p * memory.get("m", 0.0) + (1 - p) * gradient
        memory["v"] = q * memory.get("v", 0.0) + (1 - q) * gradient * gradient
        first, second = memory["m"] / (1 - p ** memory["t"]), memory["v"] / (1 - q ** memory["t"])
        return -rate * decay * weight - rate * first / (math.sqrt(second) + adamw.eps)

    def ratio(self, t, p, sample):
        size = math.fsum(self.wanted[t][p][i] ** 2 for i in sample)
        return (
            math.fsum(self._moved(t, p, i) * self.wanted[t][p][i] for i in sample) / size
            if size
            else math.nan
        )

    def error(self, t, p, sample):
        size = math.fsum(self.wanted[t][p][i] ** 2 for i in sample)
        excess = norm(self._excess(t, p, i) for i in sample)
        if size:
            return excess / math.sqrt(size)
        return math.inf if excess else math.nan

    def _moved(self, t, p, i):
        return self.naive.weights[t + 1][p][i] - self.naive.weights[t][p][i]

    def _excess(self, t, p, i):
        rounding = abs(self.naive.weights[t][p][i]) * self.naive.trainer.epsilon
        return max(abs(self._moved(t, p, i) - self.wanted[t][p][i]) - rounding, 0.0)

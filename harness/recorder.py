"""Watches training steps from inside and records a `Trace`. Reads live arrays and writes none of them.

Cost is what matters here: at 12,416 parameters a step takes less than a millisecond. Numbers that are not
finite are recorded as they are, without a warning: the judge speaks of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from harness.model import TENSOR_COLUMNS, Array, Float64, Trace
from harness.optimizers import Rule
from harness.reductions import Layout, Reductions

DEFERRED = 32
"""Steps that become rows of the trace together: calls cost more than sums."""
CACHED = 16_384
"""Numbers of which several arrays stay in the cache."""


class Observable(Protocol):
    """What the recorder needs of a trainer: live flat arrays, one a tensor, in the order of `names`.

    epsilon: relative spacing of the numbers that the weights are kept in; an update is rounded to it.
    """

    names: tuple[str, ...]
    events: dict[str, int]
    epsilon: float

    def weight_arrays(self) -> Sequence[Array]:
        """Current weights, flat; views where the backend allows it."""
        ...

    def gradient_arrays(self) -> Sequence[Array | None]:
        """Current gradients, flat; None for a tensor that has none."""
        ...


@dataclass(slots=True)
class Recorder:
    """A `Watch` that fills a trace. Bound to one trainer; `trace()` may be asked for at any time."""

    trainer: Observable
    matrices: Sequence[bool]
    rule: Rule
    seed: int
    clips: bool
    rows: dict[str, list[Float64]] = field(default_factory=lambda: {name: [] for name in TENSOR_COLUMNS})
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    events: list[dict[str, int]] = field(default_factory=list)
    _reductions: Reductions = field(init=False)
    _layout: Layout = field(init=False)
    _expected: "_Expected" = field(init=False)

    def __post_init__(self) -> None:
        """Lay out the buffers once, so that a step allocates next to nothing; keep the starting weights."""
        generator = np.random.default_rng((self.seed, 0x5A))
        self._reductions = Reductions.of(self.trainer.weight_arrays(), generator, clips=self.clips)
        self._layout = self._reductions.layout
        self._expected = _Expected.of(self.rule, self.matrices, self._layout)
        self.events.append(dict(self.trainer.events))

    def gradients_ready(self) -> None:
        """Record the gradient before clipping."""
        self._reductions.ready(self.trainer.gradient_arrays())

    def gradients_clipped(self) -> None:
        """Record the gradient that the optimizer sees."""
        if self.clips:
            self._reductions.clipped(self.trainer.gradient_arrays())

    def updated(self, learning_rate: float) -> None:
        """Record how the weights moved since the end of the last step.

        Not since the backward pass: an update that comes too early counts too.
        """
        self._reductions.updated(self.trainer.weight_arrays())
        self.rates.append(learning_rate)

    def finish_step(self, loss: float) -> None:
        """Close a step: its loss, and how often each event has happened so far."""
        self.losses.append(loss)
        self.events.append(dict(self.trainer.events))
        if len(self.losses) - len(self.digests) == DEFERRED:
            self._take()

    def trace(self) -> Trace:
        """All complete steps so far."""
        self._take()
        steps, none = len(self.losses), np.zeros((0, len(self.trainer.names)))
        names = self.events[-1]
        counts = np.array([[counts.get(name, 0) for name in names] for counts in self.events], np.float64)
        return Trace(
            tensors=tuple(self.trainer.names),
            loss=np.array(self.losses, np.float64),
            learning_rate=np.array(self.rates[:steps], np.float64),
            memory=np.full(steps, np.nan),
            absent=("memory",),
            events=dict(zip(names, np.diff(counts, axis=0).T, strict=True)),
            digests=tuple(self.digests),
            **{name: np.concatenate([none, *rows]) for name, rows in self.rows.items()},
        )

    def _take(self) -> None:
        """Turn the last steps into rows."""
        done = len(self.digests)
        steps = len(self.losses) - done
        if not steps:
            return
        found = self._reductions.take(steps)
        at_a_time = max(1, CACHED // found["weight"].shape[1])
        with np.errstate(all="ignore"):
            self._keep(self._magnitudes(found))
            for first in range(0, steps, at_a_time):
                some = {name: values[first : first + at_a_time] for name, values in found.items()}
                self._keep(self._updates(some, self.rates[done + first :]))
        self.digests += [_checksum(words) for words in found["checksum"].tolist()]

    def _keep(self, rows: dict[str, Float64]) -> None:
        for name, values in rows.items():
            self.rows[name].append(values)

    def _magnitudes(self, found: dict[str, Array]) -> dict[str, Float64]:
        return {
            "gradient_norm": np.sqrt(found["raw_squares"]),
            "clipped_norm": np.sqrt(found["squares"]),
            "gradient_largest": found["largest"].astype(np.float64),
            "gradient_nonzero": found["nonzero"] / self._layout.sizes,
            "weight_norm": np.sqrt(found["weight_squares"]),
            "update_norm": np.sqrt(found["moved_squares"]),
        }

    def _updates(self, found: dict[str, Array], rates: list[float]) -> dict[str, Float64]:
        """The sampled updates, held to those of the rule."""
        story = zip(found["weight"], found["gradient"], rates, found["present"].tolist(), strict=False)
        expected = np.array([self._expected.change(*step) for step in story])
        magnitudes = np.abs(found["weight"])
        starts = self._layout.sample_starts
        ratio, error = _compare(found["moved"], expected, magnitudes * self.trainer.epsilon, starts)
        means = np.add.reduceat(magnitudes, starts, axis=1) / self._layout.sample_sizes
        return {"update_ratio": ratio, "update_error": error, "weight_mean": means}


@dataclass(slots=True)
class _Expected:
    """What the optimizer's rule gives for the sampled elements, step by step.

    One call of the rule serves all tensors until one of them lacks a gradient. Optimizers pass over such a
    tensor, and do not count the step for it: from then on, each tensor has a call and a memory of its own.
    """

    rule: Rule
    decays: Array
    parts: list[slice]
    apart: bool = False

    @classmethod
    def of(cls, rule: Rule, matrices: Sequence[bool], layout: Layout) -> "_Expected":
        ends = np.cumsum(layout.sample_sizes)
        parts = [slice(start, end) for start, end in zip(layout.sample_starts, ends, strict=True)]
        return cls(rule, np.repeat(list(matrices), layout.sample_sizes), parts)

    def change(self, weight: Float64, gradient: Float64, rate: float, present: list[bool]) -> Float64:
        if not self.apart and all(present):
            return self.rule.change("all", weight, gradient, rate, self.decays)
        self._take_apart()
        change = np.zeros_like(weight)
        for number, part in enumerate(self.parts):
            if present[number]:
                change[part] = self.rule.change(
                    str(number), weight[part], gradient[part], rate, self.decays[part]
                )
        return change

    def _take_apart(self) -> None:
        if self.apart:
            return
        together = self.rule.memory.pop("all", {})
        for number, part in enumerate(self.parts):
            self.rule.memory[str(number)] = {
                key: values[part] if values.ndim else values for key, values in together.items()
            }
        self.apart = True


def _compare(actual: Float64, expected: Float64, rounding: Float64, starts: Array) -> tuple[Float64, Float64]:
    """Projection of actual on expected, and their relative distance beyond rounding, by step and tensor.

    actual, expected, rounding (T, sampled elements); starts (P,).
    """
    excess = actual - expected
    np.abs(excess, out=excess)
    excess -= rounding
    np.maximum(excess, 0, out=excess)
    excess_squares, expected_squares, products = (
        np.add.reduceat(np.multiply(one, other, out=excess), starts, axis=1)
        for one, other in ((excess, excess), (expected, expected), (actual, expected))
    )
    none = expected_squares == 0
    safe = np.where(none, 1, expected_squares)
    ratio = np.where(none, np.nan, products / safe)
    # Where the rule gives nothing but something moved, the distance is infinite; both at rest have none.
    idle = np.where(excess_squares > 0, np.inf, np.nan)
    return ratio, np.where(none, idle, np.sqrt(excess_squares / safe))


def _checksum(words: list[int]) -> str:
    total = 0
    for word in words:
        total = (31 * total + word) % 2**64
    return f"{total:016x}"

"""One optimizer's training, recorded step by step: norms of every tensor, updates of a sample of elements."""

import math
import weakref
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from harness.measure import resident_bytes
from harness.model import Array, Float64, Trace
from harness.watching.sampling import WHOLE, Sample, norms, places_of, sample

MOST_ROWS = 4096
"""With more steps than this, every second row is dropped, and from then on every second step recorded."""
ROUNDED = 4
"""Units of the least precise digit."""
COLUMNS = (
    "gradient_norm", "clipped_norm", "gradient_largest", "gradient_nonzero", "weight_norm", "weight_mean",
    "update_norm",
)  # fmt: skip


@dataclass(slots=True)
class Row:
    """One step. columns: by name, one value a tensor."""

    step: int
    loss: float
    rate: float
    memory: float
    columns: dict[str, Float64]
    events: dict[str, float]


@dataclass(slots=True)
class Training:
    """What one optimizer did to the parameters that it held when it first stepped.

    asked: by tensor, steps at which sampled elements had a gradient; idle: the share of those that did not
    move, summed over these steps.
    absent: by tensor, steps at which it had no gradient at all. first_nonfinite: step, quantity, tensor.
    ends: when each update was done, in seconds of the program's own. first, last: weights before the first
    update, and after the latest.
    """

    name: str
    tensors: tuple[str, ...]
    parameters: list[torch.Tensor]
    count: int = 0
    stride: int = 1
    rows: list[Row] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    asked: Float64 = field(default_factory=lambda: np.zeros(0))
    idle: Float64 = field(default_factory=lambda: np.zeros(0))
    absent: Float64 = field(default_factory=lambda: np.zeros(0))
    first_nonfinite: tuple[int, str, str] | None = None
    places: list[torch.Tensor] = field(default_factory=list)
    counts: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    weights: Sample | None = None
    late: bool = False
    unclipped: Float64 | None = None
    backwards: int = 0
    first: Sample | None = None
    last: Sample | None = None
    _known: tuple[list[Any], Float64] | None = None
    _before: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lay out the sample."""
        self.asked = np.zeros(len(self.tensors))
        self.idle = np.zeros(len(self.tensors))
        self.absent = np.zeros(len(self.tensors))
        self.places = [places_of(parameter) for parameter in self.parameters]
        self.counts = np.array([len(places) for places in self.places], np.int64)

    def jump(self) -> float:
        """How far from where the last update left them does this one find the weights? Relative to them."""
        if self.last is None or self.weights is None:
            return 0.0
        now, old = (each.cut(self.counts).values for each in (self.weights, self.last))
        size = float(np.square(old).sum())
        return math.sqrt(float(np.square(now - old).sum()) / size) if size > 0 else 0.0

    @property
    def rounding(self) -> float:
        """How far, relative to their size, weights move that are taken elsewhere and brought back."""
        return max((ROUNDED * torch.finfo(each.dtype).eps for each in self.parameters), default=0.0)

    def fingerprint(self, *, anew: bool = False) -> tuple[float, ...]:
        """A few elements of every tensor, the middle ones of its sample.

        anew: as they are now; else as the last update found them, and then left them.
        """
        found = sample(self.parameters, self.places) if anew or self.weights is None else self.weights
        middle = (self.counts // 2)[:, None] + np.arange(4)
        places = (found.starts[:, None] + middle)[middle < self.counts[:, None]]
        return tuple(found.values[places].tolist())

    def gradients(self, *, anew: bool = False) -> Float64:
        """Norm of the gradient of each tensor (P,). Several observers ask; it is calculated once a change.

        anew: calculate in any case, for what is written by way of `.data` does not count as a change.
        """
        gradients = self._all_gradients()
        if anew or self._known is None or not _unchanged(self._known[0], gradients):
            marks = [None if each is None else (weakref.ref(each), each._version) for each in gradients]  # noqa: SLF001 - torch's own count of changes
            self._known = (marks, norms(gradients))
        return self._known[1]

    def forget(self) -> None:
        """The gradients are about to be written to in a way that leaves no mark."""
        self._known = None

    @property
    def pulled(self) -> float:
        """Sum of the norms of the gradients that the update begins with; NaN with a closure."""
        gradient = self._before.get("gradient")
        return math.nan if gradient is None else float(gradient.sum())

    def clipping(self) -> None:
        """Gradients are about to be clipped: their norms as they are."""
        self.unclipped = self.gradients()

    def stepping(self, *, late: bool) -> None:
        """Before the update. late: gradients are computed within it (a closure)."""
        self.late = late
        gradients = None if late else self._sampled_gradients()
        places = self.places if gradients is None else gradients[0]
        self.weights = sample(self.parameters, places)
        self.first = self.first or self.weights
        self._before = {"late": late, "places": places, "norms": norms(self.parameters)}
        if gradients is not None:
            self._before |= self._gradients(gradients[1])

    def stepped(self, loss: float, rate: float) -> None:
        """After the update: one more row."""
        if not self._before or self.weights is None:
            return
        before, self._before = self._before, {}
        if before["late"]:
            before |= self._gradients(sample(self._all_gradients(), before["places"]))
        self.last = sample(self.parameters, before["places"])
        with np.errstate(all="ignore"):
            moved = Sample(self.last.values - self.weights.values, self.weights.counts)
            # A search along a line that finds nothing better stays where it is.
            if moved.values.any() or not before["late"]:
                self._count_idle(moved, before["sampled"], rate)
            columns = self._columns(before, moved, self.weights)
        self.weights = self.last
        self._look_for_nonfinite(loss, columns)
        self.losses.append(loss)
        if self.count % self.stride == 0:
            events = {"backward": float(self.backwards), "update": 1.0}
            self.rows.append(Row(self.count, loss, rate, float(resident_bytes()), columns, events))
        self.count += 1
        self.unclipped, self.backwards = None, 0
        if len(self.rows) > MOST_ROWS:
            self.rows, self.stride = self.rows[::2], 2 * self.stride

    def _all_gradients(self) -> list[Any]:
        return [parameter.grad for parameter in self.parameters]

    def _sampled_gradients(self) -> tuple[list[torch.Tensor], Sample]:
        """Places, and gradients there: the largest too where all of a sample are 0, as in an embedding."""
        gradients = self._all_gradients()
        found = sample(gradients, self.places)
        empty = found.each(np.logical_or, found.values != 0) == 0
        places = [
            self._with_largest(number) if none else at
            for number, (at, none) in enumerate(zip(self.places, empty, strict=True))
        ]
        same = all(one is other for one, other in zip(places, self.places, strict=True))
        return places, found if same else sample(gradients, places)

    def _with_largest(self, number: int) -> torch.Tensor:
        places, gradient = self.places[number], self.parameters[number].grad
        if gradient is None or gradient.layout is not torch.strided or gradient.numel() <= WHOLE:
            return places
        return torch.cat([places, gradient.detach().abs().argmax().reshape(1)])

    def _gradients(self, sampled: Sample) -> dict[str, Any]:
        self.absent += [gradient is None for gradient in self._all_gradients()]
        return {"gradient": self.gradients(anew=True), "sampled": sampled}

    def _count_idle(self, moved: Sample, gradients: Sample, rate: float) -> None:
        if not rate:
            return
        pulled = gradients.values != 0
        of = gradients.each(np.add, pulled.astype(float))
        still = gradients.each(np.add, (pulled & (moved.values == 0)).astype(float))
        self.asked += of > 0
        self.idle += still / np.maximum(of, 1)

    def _columns(self, before: dict[str, Any], moved: Sample, weights: Sample) -> dict[str, Float64]:
        gradients: Sample = before["sampled"]
        sizes = np.array([parameter.numel() for parameter in self.parameters])
        share = np.sqrt(sizes / np.maximum(moved.counts, 1))
        return {
            "gradient_norm": before["gradient"] if self.unclipped is None else self.unclipped,
            "clipped_norm": before["gradient"],
            "gradient_largest": gradients.each(np.maximum, np.abs(gradients.values)),
            "gradient_nonzero": gradients.mean(gradients.values != 0),
            "weight_norm": before["norms"],
            "weight_mean": weights.mean(np.abs(weights.values)),
            "update_norm": np.sqrt(moved.each(np.add, np.square(moved.values))) * share,
        }

    def _look_for_nonfinite(self, loss: float, columns: dict[str, Float64]) -> None:
        if self.first_nonfinite is not None:
            return
        if not math.isfinite(loss):
            self.first_nonfinite = (self.count, "loss", "")
            return
        for name, what in (
            ("weight_norm", "weight"),
            ("clipped_norm", "gradient"),
            ("update_norm", "update"),
        ):
            bad = np.flatnonzero(~np.isfinite(columns[name]))
            if len(bad):
                self.first_nonfinite = (self.count, what, self.tensors[bad[0]])
                return

    def trace(self) -> Trace:
        """All rows; what the rule of the optimizer would give is not computed for programs."""
        rows, width = self.rows, len(self.tensors)
        columns: dict[str, Any] = {
            name: np.array([row.columns[name] for row in rows], np.float64).reshape(len(rows), width)
            for name in COLUMNS
        }
        unknown = np.full((len(rows), width), math.nan)
        events = {name: np.array([row.events[name] for row in rows]) for name in ("backward", "update")}
        return Trace(
            tensors=self.tensors,
            loss=np.array([row.loss for row in rows], np.float64),
            learning_rate=np.array([row.rate for row in rows], np.float64),
            memory=np.array([row.memory for row in rows], np.float64),
            update_ratio=unknown,
            update_error=unknown,
            events=events,
            absent=("update_ratio", "update_error"),
            **columns,
        )


def _unchanged(marks: list[Any], gradients: list[Any]) -> bool:
    """Whether these are the very tensors that were marked, and nobody wrote to them since."""
    return all(
        gradient is None
        if mark is None
        # What was marked may be gone by now, and no other have come.
        else gradient is not None and gradient is mark[0]() and gradient._version == mark[1]  # noqa: SLF001 - as above
        for mark, gradient in zip(marks, gradients, strict=True)
    )

"""One optimizer's training, recorded step by step: norms of every tensor, updates of a sample of elements."""

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from harness.measure import resident_bytes
from harness.model import Float64, Trace

WHOLE = 1024
"""Tensors of at most so many elements are compared element by element; of larger ones, SAMPLED are."""
SAMPLED = 256
MOST_ROWS = 4096
"""With more steps than this, every second row is dropped, and from then on every second step recorded."""
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
    """

    name: str
    tensors: tuple[str, ...]
    parameters: list[torch.Tensor]
    count: int = 0
    stride: int = 1
    rows: list[Row] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    asked: Float64 = field(default_factory=lambda: np.zeros(0))
    idle: Float64 = field(default_factory=lambda: np.zeros(0))
    absent: Float64 = field(default_factory=lambda: np.zeros(0))
    first_nonfinite: tuple[int, str, str] | None = None
    places: list[torch.Tensor] = field(default_factory=list)
    late: bool = False
    unclipped: Float64 | None = None
    backwards: int = 0
    last: list[Float64] = field(default_factory=list)
    _known: tuple[list[Any], Float64] | None = None
    _before: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lay out the sample."""
        self.asked = np.zeros(len(self.tensors))
        self.idle = np.zeros(len(self.tensors))
        self.absent = np.zeros(len(self.tensors))
        self.places = [_places(parameter) for parameter in self.parameters]

    def jump(self) -> float:
        """How far the sampled weights lie from where the last update left them, relative to their size."""
        now = _sample(self.parameters, self.places)
        pairs = [(new, old[: len(new)]) for new, old in zip(now, self.last, strict=False)]
        away = sum(float(np.square(new - old).sum()) for new, old in pairs)
        size = sum(float(np.square(old).sum()) for _, old in pairs)
        return math.sqrt(away / size) if size > 0 else 0.0

    def gradients(self, *, anew: bool = False) -> Float64:
        """Norm of the gradient of each tensor (P,). Several observers ask; it is calculated once a change.

        anew: calculate in any case, for what is written by way of `.data` does not count as a change.
        """
        gradients = [parameter.grad for parameter in self.parameters]
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
        places = self.places if late else self._looked_at()
        weights = _sample(self.parameters, places)
        self._before = {"late": late, "places": places, "weights": weights, "norms": norms(self.parameters)}
        if not late:
            self._before |= self._gradients(places)

    def stepped(self, loss: float, rate: float) -> None:
        """After the update: one more row."""
        if not self._before:
            return
        before, self._before = self._before, {}
        if before["late"]:
            before |= self._gradients(before["places"])
        now = _sample(self.parameters, before["places"])
        self.last = now
        with np.errstate(all="ignore"):
            moved = [after - old for after, old in zip(now, before["weights"], strict=True)]
        self._count_idle(moved, before["sampled"], rate)
        columns = self._columns(before, moved)
        self._look_for_nonfinite(loss, columns)
        self.losses.append(loss)
        if self.count % self.stride == 0:
            events = {"backward": float(self.backwards), "update": 1.0}
            self.rows.append(Row(self.count, loss, rate, float(resident_bytes()), columns, events))
        self.count += 1
        self.unclipped, self.backwards = None, 0
        if len(self.rows) > MOST_ROWS:
            self.rows, self.stride = self.rows[::2], 2 * self.stride

    def _looked_at(self) -> list[torch.Tensor]:
        """The sample; where none of it has a gradient, the largest one too: of an embedding, few rows do."""
        sampled = _sample([parameter.grad for parameter in self.parameters], self.places)
        return [
            places if values.any() else self._with_largest(number)
            for number, (places, values) in enumerate(zip(self.places, sampled, strict=True))
        ]

    def _with_largest(self, number: int) -> torch.Tensor:
        places, gradient = self.places[number], self.parameters[number].grad
        if gradient is None or gradient.layout is not torch.strided or gradient.numel() <= WHOLE:
            return places
        return torch.cat([places, gradient.detach().abs().argmax().reshape(1)])

    def _gradients(self, at: list[torch.Tensor]) -> dict[str, Any]:
        gradients = [parameter.grad for parameter in self.parameters]
        sampled = _sample(gradients, at)
        self.absent += [gradient is None for gradient in gradients]
        return {"gradient": self.gradients(anew=True), "sampled": sampled}

    def _count_idle(self, moved: list[Float64], gradients: list[Float64], rate: float) -> None:
        if not rate:
            return
        for number, (change, gradient) in enumerate(zip(moved, gradients, strict=True)):
            pulled = gradient != 0
            if pulled.any():
                self.asked[number] += 1
                self.idle[number] += float((change[pulled] == 0).mean())

    def _columns(self, before: dict[str, Any], moved: list[Float64]) -> dict[str, Float64]:
        gradients, weights = before["sampled"], before["weights"]
        share = np.array(
            [math.sqrt(p.numel() / max(1, len(m))) for p, m in zip(self.parameters, moved, strict=True)]
        )
        return {
            "gradient_norm": before["gradient"] if self.unclipped is None else self.unclipped,
            "clipped_norm": before["gradient"],
            "gradient_largest": _each(gradients, lambda values: np.abs(values).max()),
            "gradient_nonzero": _each(gradients, lambda values: (values != 0).mean()),
            "weight_norm": before["norms"],
            "weight_mean": _each(weights, lambda values: np.abs(values).mean()),
            "update_norm": _each(moved, np.linalg.norm) * share,
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


def norms(tensors: "list[Any]") -> Float64:
    """L2 norm of each, as float64 (P,); 0 for None."""
    found = np.zeros(len(tensors))
    dense = [
        number for number, each in enumerate(tensors) if each is not None and each.layout is torch.strided
    ]
    with torch.no_grad():
        groups: dict[tuple[Any, Any], list[int]] = {}
        for number in dense:
            groups.setdefault((tensors[number].device, tensors[number].dtype), []).append(number)
        for numbers in groups.values():
            values = torch._foreach_norm([tensors[number].detach() for number in numbers])  # noqa: SLF001 - torch's own way to clip
            found[numbers] = torch.stack(values).double().cpu().numpy()
        for number, each in enumerate(tensors):
            if each is not None and each.layout is not torch.strided:
                found[number] = float(each.detach().coalesce().values().double().norm())
    return found


def _unchanged(marks: list[Any], gradients: list[Any]) -> bool:
    """Whether these are the very tensors that were marked, and nobody wrote to them since."""
    return all(
        gradient is None if mark is None else gradient is mark[0]() and gradient._version == mark[1]  # noqa: SLF001 - as above
        for mark, gradient in zip(marks, gradients, strict=True)
    )


def _sample(tensors: list[Any], places: list[torch.Tensor]) -> list[Float64]:
    """The elements at these places of each, 0 for None. One copy for all: many small ones take long."""
    taken = [
        torch.zeros(len(at), device=at.device) if tensor is None else _taken(tensor, at)
        for tensor, at in zip(tensors, places, strict=True)
    ]
    if not taken:
        return []
    together = torch.cat([each.to(taken[0].device) for each in taken]).cpu().numpy().astype(np.float64)
    return np.split(together, np.cumsum([len(at) for at in places])[:-1])


def _places(parameter: torch.Tensor) -> torch.Tensor:
    count = parameter.numel()
    if count <= WHOLE:
        return torch.arange(count, device=parameter.device)
    return torch.linspace(0, count - 1, SAMPLED, dtype=torch.float64).long().to(parameter.device)


def _taken(tensor: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        tensor = tensor.detach()
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        return torch.take(tensor, places).float()


def _each(samples: list[Float64], measure: Callable[[Float64], Any]) -> Float64:
    with np.errstate(all="ignore"):
        return np.array([float(measure(values)) if len(values) else 0.0 for values in samples])

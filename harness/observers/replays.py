"""Batches that a loader shuffled once: do they come again, from no loader, in the same order?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.observers import Observer
from harness.watching.events import Call, Loss

MOST = 20_000
"""Batches of a loader that are remembered."""
PLACES = 64
"""Numbers of a tensor that it is recognized by."""
LEAST = 4


@dataclass(slots=True)
class _Source:
    """A loader that shuffles. marks: which of its batches has a tensor with this mark; -1 where several have.

    trained: its batches in the order in which they were trained on; inputs: so many were known by what a
    model got, the others by the targets of a loss.
    """

    loader: Any
    batches: int = 0
    marks: dict[int, int] = field(default_factory=dict)
    trained: list[int] = field(default_factory=list)
    inputs: int = 0
    current: tuple[int, bool] | None = None


class Replays(Observer):
    """Recognizes the batches of loaders that are gone through once, until they are gone through again."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.sources: dict[int, _Source] = {}
        self.again: set[int] = set()
        self.passes: dict[int, _Source] = {}
        self.any = False

    def loader_started(self, hub: Any, iterator: Any, loader: Any) -> None:
        """One that begins again while training goes on is used as it should be."""
        self.passes.pop(id(iterator), None)
        if type(getattr(loader, "sampler", None)).__name__ != "RandomSampler":
            return
        self.any = True
        if (id(loader) in self.sources and hub.step) or id(loader) in self.again:
            self.again.add(id(loader))
            self.sources.pop(id(loader), None)
            return
        self.sources[id(loader)] = self.passes[id(iterator)] = _Source(loader)

    def batch_loaded(self, hub: Any, iterator: Any, batch: Any) -> None:
        """Its marks."""
        from harness.watching.tensors import tensors_in  # noqa: PLC0415 - brings torch

        del hub
        source = self.passes.get(id(iterator))
        if source is None or self.sources.get(id(source.loader)) is not source or source.batches >= MOST:
            return
        for number in {_mark(each) for each in tensors_in(batch)[:4]} - {0}:
            source.marks[number] = -1 if number in source.marks else source.batches
        source.batches += 1

    def called(self, hub: Any, call: Call) -> None:
        """Is this a batch that is known?"""
        import torch  # noqa: PLC0415 - only where torch runs

        if not self.sources or call.depth or not torch.is_grad_enabled():
            return
        given = [each for each in call.given if isinstance(each, torch.Tensor) and not each.requires_grad]
        if given and id(call.module) in hub.models:
            self._recognize(given[0], inputs=True)

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """Are these targets those of a known batch, whatever was done to its inputs?"""
        del hub
        if self.sources and loss.result.requires_grad and not loss.target.requires_grad:
            self._recognize(loss.target, inputs=False)

    def _recognize(self, tensor: Any, *, inputs: bool) -> None:
        mark = 0
        for source in self.sources.values():
            if source.current is None or (inputs and not source.current[1]):
                mark = mark or _mark(tensor)
                batch = source.marks.get(mark, -1)
                source.current = (batch, inputs) if batch >= 0 else source.current

    def backward_begins(self, hub: Any, roots: Any) -> None:
        """A batch is trained on that a model or a loss has got since the last time."""
        del hub, roots
        for source in self.sources.values():
            if source.current is not None and len(source.trained) < MOST:
                source.trained.append(source.current[0])
                source.inputs += source.current[1]
            source.current = None

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By loader: after how many batches they come again in the same order, and how often."""
        del hub
        if not self.any:
            raise NotImplementedError("no loader shuffles")
        return {"loaders": [_told(each) for each in self.sources.values() if each.trained]}


def _told(source: _Source) -> dict[str, Any]:
    trained = source.trained
    period = next((n for n in range(1, len(trained)) if trained[n] == trained[0]), 0)
    cyclic = period > 0 and all(one == other for one, other in zip(trained, trained[period:], strict=False))
    try:
        length = len(source.loader)
    except TypeError:
        length = -1
    return {
        "batches": source.batches, "length": length, "steps": len(trained),
        "period": period if cyclic and len(set(trained[:period])) == period else 0,
        "inputs": source.inputs / len(trained),
    }  # fmt: skip


def _mark(tensor: Any) -> int:
    """A checksum of some of its numbers, the same in any format that holds them; 0 for too few."""
    import torch  # noqa: PLC0415 - only where torch runs

    count = tensor.numel()
    if count < LEAST or tensor.layout is not torch.strided or tensor.is_complex():
        return 0
    places = torch.arange(0, count, -(-count // PLACES), device=tensor.device)
    return hash((count, *tensor.detach().take(places).tolist()))

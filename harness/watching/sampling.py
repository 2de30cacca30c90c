"""Some elements of many tensors, taken at once: every single look at a small tensor costs time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from harness.model import Array, Float64

WHOLE = 1024
"""Tensors of at most so many elements are taken whole; of larger ones, SAMPLED."""
SAMPLED = 256


@dataclass(frozen=True, slots=True)
class Sample:
    """Elements of P tensors, side by side. values (sum of counts,); counts (P,) int64."""

    values: Float64
    counts: Array

    @property
    def starts(self) -> Array:
        """Where each tensor's part begins (P,)."""
        return np.cumsum(self.counts) - self.counts

    def each(self, how: np.ufunc, values: Array) -> Float64:
        """Values (one an element) reduced over each tensor's part (P,); 0 where a part is empty."""
        found, filled = np.zeros(len(self.counts)), self.counts > 0
        if filled.any():
            found[filled] = how.reduceat(values, self.starts[filled])
        return found

    def mean(self, values: Array) -> Float64:
        """The mean of such values over each part (P,)."""
        return self.each(np.add, values.astype(np.float64)) / np.maximum(self.counts, 1)

    def cut(self, counts: Array) -> "Sample":
        """The first elements of each part, so many."""
        if np.array_equal(counts, self.counts):
            return self
        number = np.arange(len(self.values)) - np.repeat(self.starts, self.counts)
        return Sample(self.values[number < np.repeat(counts, self.counts)], counts)


def places_of(tensor: torch.Tensor) -> torch.Tensor:
    """Which elements of a tensor belong to its sample."""
    count = tensor.numel()
    if count <= WHOLE:
        return torch.arange(count, device=tensor.device)
    return torch.linspace(0, count - 1, SAMPLED, dtype=torch.float64).long().to(tensor.device)


@torch.no_grad()
def sample(tensors: list[Any], places: list[torch.Tensor]) -> Sample:
    """The elements at these places of each, 0 for None. One copy for all: many small ones take long."""
    counts = np.array([len(at) for at in places], np.int64)
    if not places:
        return Sample(np.zeros(0), counts)
    device = places[0].device
    taken = [_taken(tensor, at).to(device) for tensor, at in zip(tensors, places, strict=True)]
    return Sample(torch.cat(taken).double().cpu().numpy(), counts)


def _taken(tensor: Any, places: torch.Tensor) -> torch.Tensor:
    if tensor is None:
        return torch.zeros(len(places), device=places.device)
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    found = tensor.reshape(-1) if tensor.numel() == len(places) else torch.take(tensor, places)
    return found.real if found.is_complex() else found


@torch.no_grad()
def norms(tensors: list[Any]) -> Float64:
    """L2 norm of each, as float64 (P,); 0 for None."""
    found = np.zeros(len(tensors))
    groups: dict[tuple[Any, Any], list[int]] = {}
    for number, each in enumerate(tensors):
        if each is not None and each.layout is torch.strided:
            groups.setdefault((each.device, each.dtype), []).append(number)
        elif each is not None:
            found[number] = float(each.detach().coalesce().values().double().norm())
    for numbers in groups.values():
        values = torch._foreach_norm([tensors[number] for number in numbers])  # noqa: SLF001 - torch's own way to clip
        found[numbers] = torch.stack(values).double().cpu().numpy()
    return found

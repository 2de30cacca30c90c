"""Numbers of all tensors of a training, step by step: who reduces what, and what is sampled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.model import Array
from harness.parts import CHUNK, SAMPLES, Gathered, Gradients, Large, Part, joined, starts_of

SMALL = 8_192
"""Elements of a tensor, at most, that is gathered with others."""
SAMPLED = 256
"""Elements of a tensor that are sampled."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of all tensors, and which elements of each are sampled."""

    sizes: list[int]
    samples: list[Array]

    @classmethod
    def of(cls, sizes: list[int], generator: np.random.Generator) -> "Layout":
        """For tensors of these sizes, in this order; the generator draws the sample."""
        return cls(sizes, [_sample(size, generator) for size in sizes])

    @property
    def sample_sizes(self) -> Array:
        """How many elements of each tensor are sampled, (P,)."""
        return np.array([len(sample) for sample in self.samples])

    @property
    def sample_starts(self) -> Array:
        """Where each tensor's sample starts when all are side by side, (P,)."""
        return starts_of([len(sample) for sample in self.samples])

    def groups(self) -> Iterator[list[int]]:
        """Tensors that are reduced together: small ones, at most a chunk of elements; large ones alone."""
        group: list[int] = []
        for tensor, size in enumerate(self.sizes):
            if size > SMALL:
                yield [tensor]
                continue
            if sum(self.sizes[other] for other in group) + size > CHUNK:
                yield group
                group = []
            group.append(tensor)
        if group:
            yield group


@dataclass(slots=True)
class Reductions:
    """All tensors of a training, in parts that reduce their tensors each in its own way.

    Numbers that are not finite, or that overflow, raise no warning.
    """

    layout: Layout
    parts: list[tuple[list[int], Part]]

    @classmethod
    def of(cls, weights: Sequence[Array], generator: np.random.Generator, *, clips: bool) -> "Reductions":
        """For a training that starts from these weights. clips: whether `clipped` will be called."""
        layout = Layout.of([array.size for array in weights], generator)
        scratch = np.empty(CHUNK, np.result_type(*weights))
        parts: list[tuple[list[int], Part]] = []
        with np.errstate(all="ignore"):
            for group in layout.groups():
                own, samples = (
                    [weights[tensor] for tensor in group],
                    [layout.samples[tensor] for tensor in group],
                )
                large = layout.sizes[group[0]] > SMALL
                part = (
                    Large(own[0], samples[0], scratch, clips=clips)
                    if large
                    else Gathered(own, samples, clips=clips)
                )
                parts.append((group, part))
        return cls(layout, parts)

    def ready(self, gradients: Gradients) -> None:
        """Gradients before clipping."""
        with np.errstate(all="ignore"):
            for group, part in self.parts:
                part.ready([gradients[tensor] for tensor in group])

    def clipped(self, gradients: Gradients) -> None:
        """Gradients that the optimizer sees."""
        with np.errstate(all="ignore"):
            for group, part in self.parts:
                part.clipped([gradients[tensor] for tensor in group])

    def updated(self, weights: Sequence[Array]) -> None:
        """Weights after the update."""
        with np.errstate(all="ignore"):
            for group, part in self.parts:
                part.updated([weights[tensor] for tensor in group])

    def take(self, steps: int) -> dict[str, Array]:
        """The columns of `Part` for all tensors: those of the oldest steps (at least one), then forgotten."""
        with np.errstate(all="ignore"):
            taken = [part.take(steps) for _, part in self.parts]
        columns = {name: joined([columns[name] for columns in taken], axis=1) for name in taken[0]}
        if len(self.parts) > 1:
            self._order(columns)
        return columns

    def _order(self, columns: dict[str, Array]) -> None:
        """Put tensors in the order of the training instead of that of the parts."""
        tensors = [tensor for group, _ in self.parts for tensor in group]
        order, starts, sizes = np.argsort(tensors), self.layout.sample_starts, self.layout.sample_sizes
        places = np.concatenate([starts[tensor] + np.arange(sizes[tensor]) for tensor in tensors])
        samples = np.argsort(places)
        for name, values in columns.items():
            if name != "checksum":
                columns[name] = values[:, samples if name in SAMPLES else order]


def _sample(size: int, generator: np.random.Generator) -> Array:
    if size <= SAMPLED:
        return np.arange(size)
    return np.sort(generator.choice(size, SAMPLED, replace=False, shuffle=False))

"""Two ways to reduce tensors to numbers, step by step, at next to no cost for the training that is watched.

A call of NumPy costs more than the sums of a small tensor. So a step only copies the small tensors, side by
side, into a row of a block, and a whole block is reduced at once. A large tensor is reduced where it lies, at
each step, a cache-sized slice at a time.

float32 is summed in float32; where squares overflow (above 1e19), they are summed again in float64; where
they underflow (below 1e-23), they count as zero.

Shapes: T steps, P tensors, S sampled elements.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from harness.model import Array, Float64

CHUNK = 65_536
"""Elements of a large tensor that are reduced at a time: few enough to stay in the cache all the while."""
BLOCK = 2 * 2**20
"""Bytes of small tensors that are gathered before they are reduced, at most,"""
GATHERED = 32
"""and steps."""
SAFE = 1e37
"""Sums of squares below this did not overflow in float32."""
NUMBERS = (
    "raw_squares",
    "largest",
    "nonzero",
    "squares",
    "present",
    "weight_squares",
    "moved_squares",
    "checksum",
)
SAMPLES = ("weight", "gradient", "moved")

Gradients = Sequence[Array | None]
"""Flat arrays, one a tensor; None for a tensor that has no gradient."""


class Part(ABC):
    """Some of the tensors. Sees a step at three moments and keeps columns, a row a step.

    (T, P): raw_squares (sum of), largest (magnitude), nonzero (count of) the gradient before clipping;
    squares of the one that the optimizer sees, present: whether there is one; weight_squares of the weights
    before the update; moved_squares of the update.
    (T, 1): checksum, the sum of all words of the weights after the update; any changed bit shows in it.
    (T, S), float64: weight (before the update), gradient (that the optimizer sees), moved: sampled elements.
    """

    @abstractmethod
    def ready(self, gradients: Gradients) -> None:
        """Gradients before clipping."""

    @abstractmethod
    def clipped(self, gradients: Gradients) -> None:
        """Gradients that the optimizer sees; where nothing clips, `ready` serves for both."""

    @abstractmethod
    def updated(self, weights: Sequence[Array]) -> None:
        """Weights after the update."""

    @abstractmethod
    def take(self, steps: int) -> dict[str, Array]:
        """The columns of the oldest steps (at least one), which are then forgotten."""


class Gathered(Part):
    """Small tensors: a step copies them, side by side, into a row of a block; a full block is reduced."""

    def __init__(self, weights: Sequence[Array], samples: Sequence[Array], *, clips: bool) -> None:
        sizes, dtype = [array.size for array in weights], np.result_type(*weights)
        self.starts = starts_of(sizes)
        self.spans = [slice(start, start + size) for start, size in zip(self.starts, sizes, strict=True)]
        self.sample = np.concatenate(
            [span.start + own for span, own in zip(self.spans, samples, strict=True)]
        )
        self.most = max(1, min(GATHERED, BLOCK // (sum(sizes) * dtype.itemsize)))
        self.raw = _Rows(self.most, sum(sizes), dtype)
        self.seen = _Rows(self.most, sum(sizes), dtype) if clips else self.raw
        self.present: list[list[bool]] = []
        self.weights = _Rows(self.most + 1, sum(sizes), dtype)
        self.weights.add(weights)
        self.columns: dict[str, list[Array]] = {name: [] for name in (*NUMBERS, *SAMPLES)}

    def ready(self, gradients: Gradients) -> None:
        """Copy."""
        self.present.append(self._copy(gradients, self.raw))

    def clipped(self, gradients: Gradients) -> None:
        """Copy."""
        self.present[-1] = self._copy(gradients, self.seen)

    def updated(self, weights: Sequence[Array]) -> None:
        """Copy; reduce the block if it is full."""
        self.weights.add(weights)
        if self.weights.filled > self.most:
            self._reduce()

    def take(self, steps: int) -> dict[str, Array]:
        """Reduce what is there first."""
        self._reduce()
        taken = {}
        for name, blocks in self.columns.items():
            rows = joined(blocks, axis=0)
            taken[name], rest = rows[:steps], rows[steps:]
            blocks[:] = [rest] if len(rest) else []
        return taken

    def _copy(self, gradients: Gradients, rows: "_Rows") -> list[bool]:
        """Zeros where there is no gradient."""
        present = [gradient is not None for gradient in gradients]
        if not all(present):
            spans = zip(gradients, self.spans, strict=True)
            gradients = [np.zeros(span.stop - span.start) if own is None else own for own, span in spans]
        rows.add(cast("Sequence[Array]", gradients))
        return present

    def _reduce(self) -> None:
        steps = self.weights.filled - 1
        if not steps:
            return
        raw, seen, weights = self.raw.block[:steps], self.seen.block[:steps], self.weights.block[: steps + 1]
        squares = self._squares(seen)
        sampled = weights.take(self.sample, axis=1).astype(np.float64)
        self._keep(
            squares=squares,
            raw_squares=squares if self.seen is self.raw else self._squares(raw),
            weight_squares=self._squares(weights[:-1]),
            checksum=self.weights.checksums(steps + 1)[1:],
            present=np.array(self.present[:steps]),
            weight=sampled[:-1],
            moved=np.diff(sampled, axis=0),
            gradient=seen.take(self.sample, axis=1).astype(np.float64),
            nonzero=np.add.reduceat(raw != 0, self.starts, axis=1, dtype=np.int32),
            # The gradients are not needed any more: what follows writes over them.
            largest=np.maximum.reduceat(np.abs(raw, out=raw), self.starts, axis=1),
            moved_squares=self._squares(np.subtract(weights[1:], weights[:-1], out=raw)),
        )
        self._forget(steps)

    def _squares(self, rows: Array) -> Float64:
        parts = [rows[:, span] for span in self.spans]
        sums = np.stack([np.vecdot(part, part) for part in parts], axis=1).astype(np.float64)
        for step, tensor in np.argwhere(~(sums < SAFE)):
            sums[step, tensor] = _wide_squares(parts[tensor][step])
        return sums

    def _keep(self, **columns: Array) -> None:
        for name, rows in columns.items():
            self.columns[name].append(rows)

    def _forget(self, steps: int) -> None:
        self.raw.drop(steps)
        if self.seen is not self.raw:
            self.seen.drop(steps)
        self.weights.drop(steps)
        del self.present[:steps]


class Large(Part):
    """One large tensor: each step reduces it in place, a slice at a time."""

    def __init__(self, weight: Array, sample: Array, scratch: Array, *, clips: bool) -> None:
        self.sample, self.scratch, self.clips = sample, scratch, clips
        self.slices = [slice(start, start + CHUNK) for start in range(0, weight.size, CHUNK)]
        self.before = [_Rows(1, weight[part].size, weight.dtype) for part in self.slices]
        self.numbers: list[tuple[Any, ...]] = []
        self.samples: list[tuple[Float64, ...]] = []
        self._remember(weight)

    def ready(self, gradients: Gradients) -> None:
        """Reduce."""
        (gradient,) = gradients
        flats = [] if gradient is None else [gradient[part] for part in self.slices]
        squares, largest, nonzero = zip(
            *(map(_of_gradient, flats) if flats else [(0.0, 0.0, 0)]), strict=True
        )
        self.raw = sum(squares), np.maximum.reduce(largest), sum(nonzero)
        if not self.clips:
            self._see(gradient, self.raw[0])

    def clipped(self, gradients: Gradients) -> None:
        """Reduce."""
        (gradient,) = gradients
        total = 0.0 if gradient is None else sum(_squares(gradient[part]) for part in self.slices)
        self._see(gradient, total)

    def updated(self, weights: Sequence[Array]) -> None:
        """Reduce, and remember the weights that the next step starts from."""
        (weight,), sampled, squares = weights, self.sampled, self.squares
        moved = self._remember(weight)
        self.numbers.append((*self.raw, *self.seen, squares, moved, np.uint64(self.checksum)))
        self.samples.append((sampled, self.gradient, self.sampled - sampled))

    def take(self, steps: int) -> dict[str, Array]:
        """Turn rows into columns."""
        numbers = zip(NUMBERS, zip(*self.numbers[:steps], strict=True), strict=True)
        samples = zip(SAMPLES, zip(*self.samples[:steps], strict=True), strict=True)
        taken = {name: np.array(values)[:, None] for name, values in numbers}
        taken |= {name: np.array(rows) for name, rows in samples}
        del self.numbers[:steps], self.samples[:steps]
        return taken

    def _see(self, gradient: Array | None, squares: float) -> None:
        self.seen = squares, gradient is not None
        own = np.zeros(len(self.sample)) if gradient is None else gradient[self.sample]
        self.gradient = own.astype(np.float64)

    def _remember(self, weight: Array) -> float:
        """Sum of squares of what changed since the last time."""
        moved = self.squares = 0.0
        self.checksum = 0
        for part, before in zip(self.slices, self.before, strict=True):
            flat, old = weight[part], before.block[0]
            moved += _squares(np.subtract(flat, old, out=self.scratch[: flat.size]))
            self.squares += _squares(flat)
            np.copyto(old, flat)
            self.checksum = (self.checksum + int(before.checksums(1)[0, 0])) % 2**64
        self.sampled = weight[self.sample].astype(np.float64)
        return moved


class _Rows:
    """A block of rows that fill up, oldest first; padded with zeros to whole words and cache lines."""

    def __init__(self, most: int, size: int, dtype: Any) -> None:
        self.padded = np.empty((most, -(-size // 16) * 16), dtype)
        self.padded.fill(0)  # touches the memory now: it must not seem to grow while the rows fill
        self.block = self.padded[:, :size]
        self.filled = 0

    def add(self, arrays: Sequence[Array]) -> None:
        """Fill the next row with these arrays, side by side."""
        np.concatenate(arrays, out=self.block[self.filled], casting="same_kind")
        self.filled += 1

    def checksums(self, count: int) -> Array:
        """Sums of the words of the oldest rows, (count, 1)."""
        return np.add.reduce(self.padded[:count].view(np.uint64), axis=1, keepdims=True)

    def drop(self, count: int) -> None:
        """Forget the oldest rows; the others move up."""
        self.filled -= count
        self.block[: self.filled] = self.block[count : count + self.filled]


def _of_gradient(flat: Array) -> tuple[float, float, int]:
    """Sum of squares, largest magnitude, count of what is not zero."""
    largest = max(np.maximum.reduce(flat), -np.minimum.reduce(flat))
    return _squares(flat), float(largest), int(np.count_nonzero(flat != 0))


def _squares(flat: Array) -> float:
    # Squares overflow long before the numbers do: then, and only then, pay for float64.
    total = float(np.dot(flat, flat))
    return total if total < SAFE else _wide_squares(flat)


def _wide_squares(flat: Array) -> float:
    wide = flat.astype(np.float64)
    return float(np.dot(wide, wide))


def joined(arrays: Sequence[Array], *, axis: int) -> Array:
    """`np.concatenate`, without a copy of what is one already."""
    return np.concatenate(arrays, axis=axis) if len(arrays) > 1 else arrays[0]


def starts_of(sizes: list[int]) -> Array:
    """Where each of these starts when all are side by side."""
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)

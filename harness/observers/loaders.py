"""How data loaders are used: gone through, begun again at every step, shared out among their workers?"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness.observers import Observer

MOST_PASSES = 50
MOST_DRAWN = 200_000


class Loaders(Observer):
    """Counts passes and batches of every `DataLoader`."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.loaders: dict[int, dict[str, Any]] = {}
        self.owner: dict[int, int] = {}
        self.rows: dict[int, Counter[int]] = {}
        self.last: int | None = None
        self.drawn: dict[int, set[Any]] = {}

    def loader_started(self, hub: Any, iterator: Any, loader: Any) -> None:
        """One more pass."""
        found = self.loaders.setdefault(id(loader), _described(loader))
        found["passes"] += 1
        if len(found["orders"]) < MOST_PASSES:
            found["orders"].append(0)
        found["passes_in_training"] += hub.step > 0
        self.owner[id(iterator)] = id(loader)
        found["keep"] = loader

    def backward_begins(self, hub: Any, roots: Any) -> None:
        """What was loaded last is trained on."""
        del hub, roots
        if self.last is not None:
            self.loaders[self.last]["trained"] += 1
            self.last = None

    def indices_drawn(self, hub: Any, iterator: Any, indices: Any) -> None:
        """Which samples a sampler gave."""
        del hub
        number = self.owner.get(id(iterator))
        drawn = [each for each in (indices if isinstance(indices, list) else [indices]) if each is not None]
        if number is None or len(self.drawn.setdefault(number, set())) > MOST_DRAWN:
            return
        self.loaders[number]["draws"] += len(drawn)
        self.drawn[number].update(drawn)

    def batch_loaded(self, hub: Any, iterator: Any, batch: Any) -> None:
        """One more batch."""
        del hub
        number = self.owner.get(id(iterator))
        if number is None:
            return
        found = self.loaders[number]
        found["batches"] += 1
        self.last = number
        if found["orders"] and found["passes"] == len(found["orders"]):
            found["orders"][-1] = hash((found["orders"][-1], *_row_hashes(batch)))
        if found["iterable"] and found["workers"] > 1 and found["passes"] == 1:
            self.rows.setdefault(number, Counter()).update(_row_hashes(batch))

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By loader."""
        del hub
        if not self.loaders:
            raise NotImplementedError("the program uses no DataLoader")
        for number, rows in self.rows.items():
            workers = self.loaders[number]["workers"]
            # Rows that are alike by chance come in any number.
            whole = sum(times % workers == 0 for times in rows.values()) > 0.9 * len(rows)
            self.loaders[number]["copies"] = sum(rows.values()) / max(1, len(rows)) if whole else 1.0
        for number, drawn in self.drawn.items():
            self.loaders[number]["seen"] = len(drawn)
        return {
            "loaders": [
                {
                    **{key: value for key, value in found.items() if key not in ("keep", "orders")},
                    "different_orders": len(set(found["orders"])),
                    "orders": len(found["orders"]),
                }
                for found in self.loaders.values()
            ]
        }


def _described(loader: Any) -> dict[str, Any]:
    sampler = type(getattr(loader, "sampler", None)).__name__
    drawable = _length(getattr(loader, "sampler", None))
    try:
        batches, size = len(loader), len(loader.dataset)
    except TypeError:
        batches = size = -1
    return {
        "shuffles": sampler == "RandomSampler" or bool(getattr(loader.sampler, "shuffle", False)),
        "sampler": sampler, "batch_size": int(loader.batch_size or 0), "workers": int(loader.num_workers),
        "iterable": type(getattr(loader, "sampler", None)).__name__ == "_InfiniteConstantSampler",
        "size": size, "length": batches, "passes": 0, "passes_in_training": 0, "batches": 0, "copies": 1.0,
        "trained": 0, "draws": 0, "seen": 0, "drawable": drawable, "orders": [],
    }  # fmt: skip


def _length(sampler: Any) -> int:
    """How many samples a sampler gives in a pass; -1 where it does not say."""
    try:
        return len(sampler)
    except TypeError:
        return -1


def _row_hashes(batch: Any) -> list[int]:
    import torch  # noqa: PLC0415 - only where torch runs

    first = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if isinstance(first, Mapping):
        first = next(iter(first.values()), None)
    if not isinstance(first, torch.Tensor) or first.dim() == 0:
        return []
    rows = first.detach().contiguous().reshape(len(first), -1)
    return [hash(row.numpy().tobytes()) for row in rows]

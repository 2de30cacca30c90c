"""What single layers are given: ids that an embedding takes for padding, batches of one for normalization."""

from collections.abc import Mapping
from typing import Any

from harness.observers import Observer
from harness.watching.events import Call

CLOSELY = 64
ENOUGH_IDS = 8
LEAST_PLACES = 256
MOST_PLACES = 1 << 30
"""One large image has statistics of its own; normalization by single ones is a style of its own."""


class Layers(Observer):
    """Looks at embeddings with a padding index, and at batch normalization in training mode."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.embeddings: dict[int, dict[str, Any]] = {}
        self.rows: dict[int, Any] = {}
        self.tables: dict[int, dict[str, Any]] = {}
        self.normalized = self.alone = 0

    def called(self, hub: Any, call: Call) -> None:
        """One call of a layer."""
        import torch  # noqa: PLC0415 - only where torch runs

        if not call.args or not torch.is_grad_enabled():
            return
        if isinstance(call.module, torch.nn.Embedding):
            self._ids(hub, call.module, call.args[0])
        if isinstance(call.module, torch.nn.Embedding) and call.module.padding_idx is not None:
            self._embedding(hub, call.module, call.args[0])
        elif (
            isinstance(call.module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d | torch.nn.BatchNorm3d)
            and call.module.training
        ):
            self.normalized += 1
            given = call.args[0]
            self.alone += len(given) == 1 and given.numel() // max(1, given.shape[1]) < LEAST_PLACES

    def _ids(self, hub: Any, module: Any, ids: Any) -> None:
        """How many different ids does a table get? A few are enough to know that it gets more than two."""
        told = self.tables.setdefault(
            id(module),
            {"rows": int(module.num_embeddings), "name": hub.name_of(module.weight), "ids": [], "lookups": 0},
        )
        told["lookups"] += int(ids.numel())
        # One id for each sample may be a task; for each of its places, it tells nothing.
        told["places"] = min(told.get("places", MOST_PLACES), int(ids.shape[-1]) if ids.dim() > 1 else 1)
        if len(told["ids"]) < ENOUGH_IDS:
            told["ids"] = sorted({*told["ids"], *ids.unique().tolist()})[:ENOUGH_IDS]

    def _embedding(self, hub: Any, module: Any, ids: Any) -> None:
        told = self.embeddings.setdefault(
            id(module),
            {"calls": 0, "used": 0, "padding": int(module.padding_idx), "name": hub.name_of(module.weight)},
        )
        told["calls"] += 1
        if told["calls"] > CLOSELY:
            return
        told["moved"] = self._moved(module)
        padding = ids == module.padding_idx
        told["used"] += bool(padding.any() if ids.dim() == 1 else _inside(padding.reshape(-1, ids.shape[-1])))

    def _moved(self, module: Any) -> float:
        """How far the row has turned since the first call: decay shrinks it, what is learned turns it.

        A layer that shares the table, as one that gives logits, trains that row.
        """
        row = module.weight[module.padding_idx].detach().double()
        unit = (row / max(float(row.norm()), 1e-12)).cpu().numpy()
        return float(abs(unit - self.rows.setdefault(id(module), unit)).max())

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By embedding; and how many batches had one sample."""
        del hub
        if not self.tables and not self.normalized:
            raise NotImplementedError("no embedding, no batch normalization")
        return {
            "tables": list(self.tables.values()), "embeddings": list(self.embeddings.values()),
            "normalized": self.normalized, "alone": self.alone,
        }  # fmt: skip


def _inside(padding: Any) -> bool:
    """Whether a padding id stands between others, in some row (N, L)."""
    real = (~padding).long()
    before, after = real.cumsum(-1), real.flip(-1).cumsum(-1).flip(-1)
    return bool((padding & (before > 0) & (after > 0)).any())

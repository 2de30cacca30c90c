"""Tensors with a history that stay alive: counted now and then, while memory grows."""

import gc
from collections.abc import Mapping
from typing import Any

from harness.measure import resident_bytes
from harness.observers import Observer

FIRST = 24
LEAST_BYTES = 16 << 20
"""Less growth than this is not worth the time of a count."""


class Graphs(Observer):
    """Looks at steps 24, 36, 54 and so on."""

    def __init__(self) -> None:
        """Nothing was counted yet."""
        self.next, self.bytes = FIRST, 0
        self.counts: list[tuple[int, int]] = []

    def stepped(self, hub: Any, optimizer: Any) -> None:
        """After an update nothing of a step needs its history any more."""
        del optimizer
        if hub.step < self.next:
            return
        self.next += self.next // 2
        now = resident_bytes()
        if self.bytes and now - self.bytes > LEAST_BYTES:
            self.counts.append((hub.step, _with_history()))
        self.bytes = self.bytes or now

    def found(self, hub: Any) -> Mapping[str, Any]:
        """How many there were at first and at last, and how many more with every step."""
        del hub
        if len(self.counts) < 2:
            raise NotImplementedError("memory hardly grows")
        (early, few), (late, many) = self.counts[0], self.counts[-1]
        return {"first": few, "last": many, "a_step": (many - few) / max(1, late - early)}


def _with_history() -> int:
    import torch  # noqa: PLC0415 - only where torch runs

    return sum(type(each) is torch.Tensor and each.grad_fn is not None for each in gc.get_objects())

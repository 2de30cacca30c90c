"""Every step leaves something behind that is never freed."""

from typing import Any, ClassVar

import numpy as np

from harness.faults import Area
from harness.faults._loops import LoopFault, Part, become
from harness.model import Array, Batch
from harness.trainer import Watch

LEAST, MOST = 2**17, 2**20
"""Numbers left behind by a step: seen beside the noise of an allocator, and bearable for a large model."""


class _Broken(Part):
    kept: list[Array]

    def step(self, batch: Batch, watch: Watch | None = None) -> float:
        loss = super().step(batch, watch)
        found = [flat for flat in self.gradient_arrays() if flat is not None] or [np.zeros(1)]
        flat = np.concatenate(found)
        self.kept.append(np.resize(flat, min(max(len(flat), LEAST), MOST)))
        return loss


class MemoryLeak(LoopFault):
    """Losses kept with their graphs, figures never closed (ray#40940, horovod#641, brax#152)."""

    area: ClassVar[Area] = "memory"
    named: ClassVar[tuple[str, ...]] = ("memory_grows",)
    part = _Broken

    def spoil_trainer(self, trainer: Any) -> None:
        """Keep the gradients of every step."""
        become(trainer, _Broken)
        trainer.kept = []

"""The garbage collector runs after every step."""

import gc
from typing import ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part
from harness.model import Batch
from harness.trainer import Watch


class _Broken(Part):
    def step(self, batch: Batch, watch: Watch | None = None) -> float:
        loss = super().step(batch, watch)
        gc.collect(1)  # the young objects: all of them would take longer than a small step
        return loss


class BenignGcEveryStep(LoopFault):
    """A habit against fragmentation; it costs time and changes no number."""

    area: ClassVar[Area] = "memory"
    benign: ClassVar[bool] = True
    part = _Broken

"""Every step takes longer than the one before."""

from typing import Any, ClassVar

from harness.faults import Area
from harness.faults._loops import LoopFault, Part, become
from harness.model import Batch
from harness.trainer import Watch


class _Broken(Part):
    seen: list[Batch]

    def step(self, batch: Batch, watch: Watch | None = None) -> float:
        loss = super().step(batch, watch)
        self.seen.append(batch)
        self.train(False)
        for past in self.seen[::4]:
            self.loss(past)
        self.train()
        return loss


class SlowerEveryStep(LoopFault):
    """What was seen is evaluated again after each step, and the list of it grows."""

    area: ClassVar[Area] = "memory"
    named: ClassVar[tuple[str, ...]] = ("steps_slow_down",)
    part = _Broken

    def spoil_trainer(self, trainer: Any) -> None:
        """Keep a list of all batches."""
        become(trainer, _Broken)
        trainer.seen = []

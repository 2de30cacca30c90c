"""One thread more than the case says."""

from dataclasses import replace
from typing import Any, ClassVar

from harness.backends.numpy_float64 import NumpyFloat64
from harness.faults import Area, TrainingFault
from harness.faults._loops import LOOPS, is_torch


class BenignOtherThreads(TrainingFault):
    """Sums are cut into other pieces; rounding differs."""

    area: ClassVar[Area] = "precision"
    benign: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = LOOPS

    def spoil_trainer(self, trainer: Any) -> None:
        """Set it for the whole process."""
        threads = trainer.config.threads + 1
        if is_torch(trainer):
            import torch  # noqa: PLC0415 - only where torch runs

            torch.set_num_threads(threads)
        else:
            NumpyFloat64().configure(replace(trainer.config, threads=threads))

"""Checkpoints are written in half precision."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from safetensors.numpy import save_file

from harness.faults import Area
from harness.faults._loops import LoopFault, Part


class _Broken(Part):
    def save(self, path: Path) -> None:
        with np.errstate(over="ignore"):
            save_file({name: values.astype(np.float16) for name, values in self.parameters().items()}, path)


class CheckpointHalvesPrecision(LoopFault):
    """`.half()` to save space, on the one checkpoint that training resumes from."""

    area: ClassVar[Area] = "checkpoint"
    named: ClassVar[tuple[str, ...]] = ("checkpoint_loses_weights",)
    part = _Broken

"""One matrix is missing in the checkpoint, and reading it does not complain."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from safetensors.numpy import load_file, save_file

from harness.faults import Area
from harness.faults._loops import LoopFault, Part, middle_matrix


class _Broken(Part):
    def save(self, path: Path) -> None:
        lost = middle_matrix(self)
        kept = {name: values for name, values in self.parameters().items() if name != lost}
        save_file({name: np.ascontiguousarray(values) for name, values in kept.items()}, path)

    def open(self, path: Path) -> None:
        self.load(load_file(path))


class CheckpointDropsTensor(LoopFault):
    """A module outside of the saved one, read back with `strict=False` (pytorch#141256)."""

    area: ClassVar[Area] = "checkpoint"
    named: ClassVar[tuple[str, ...]] = ("checkpoint_loses_weights",)
    part = _Broken

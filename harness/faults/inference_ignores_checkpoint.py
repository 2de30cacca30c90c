"""Inference reads the checkpoint and uses the weights that it started with."""

from pathlib import Path
from typing import Any, ClassVar

from safetensors.numpy import load_file

from harness.faults import Area
from harness.faults._loops import LoopFault, Part, become
from harness.model import Array


class _Broken(Part):
    start: dict[str, Array]

    def open(self, path: Path) -> None:
        load_file(path)

    def infer(self, inputs: Array) -> Array:
        trained = {name: values.copy() for name, values in self.parameters().items()}
        self.load(self.start)
        try:
            return super().infer(inputs)
        finally:
            self.load(trained)


class InferenceIgnoresCheckpoint(LoopFault):
    """`strict=False` met names with a prefix: 29 of 29 tensors missing, no error.

    Met in examples#1029, pytorch#141256.
    """

    area: ClassVar[Area] = "checkpoint"
    named: ClassVar[tuple[str, ...]] = ("logits_unrelated_to_weights", "checkpoint_loses_weights")
    part = _Broken

    def spoil_trainer(self, trainer: Any) -> None:
        """Keep the starting weights for inference."""
        become(trainer, _Broken)
        trainer.start = {name: values.copy() for name, values in trainer.parameters().items()}

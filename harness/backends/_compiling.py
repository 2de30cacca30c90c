"""What trainers share that compile for each shape: they do it before the first step, and tell how long."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from harness.model import Batch, Measurement
from harness.training import LoopTrainer


class CompilingTrainer(LoopTrainer):
    """Compiles on the first use of a shape; `prepare` uses each once, so that no step has to wait.

    compile_seconds: of the first use of each shape that `prepare` was given, the held-out loss last.
    """

    compiles: ClassVar[bool] = True
    compile_seconds: tuple[float, ...] = ()

    def prepare(self, batches: Sequence[Batch]) -> bool:
        """Ask for gradients in each shape of a step, and for the held-out loss."""
        *training, held_out = batches
        shapes = {(batch.inputs.shape, batch.targets.shape): batch for batch in training}
        seconds = [_seconds(self.gradients, batch) for batch in shapes.values()]
        mode = self.training
        self.train(False)
        seconds.append(_seconds(self.loss, held_out))
        self.train(mode)
        self.warm_optimizer()
        self.compile_seconds = tuple(seconds)
        return True

    def warm_optimizer(self) -> None:
        """Compile what clips and updates, where that is compiled too."""

    def measurements(self) -> Iterable[Measurement]:
        """compile_time: seconds that `prepare` took, by shape in its samples; and the parts of a step."""
        yield from super().measurements()
        seconds = self.compile_seconds
        yield Measurement(name="compile_time", value=sum(seconds), unit="s", samples=seconds)


def _seconds(use: Callable[[Batch], Any], batch: Batch) -> float:
    start = time.perf_counter()
    use(batch)
    return time.perf_counter() - start

"""The training loop that all in-process backends share: a step in named parts, so that each can be watched.

    zero_gradients -> accumulate (a backward pass for each micro-batch) -> clip -> update

A backend supplies the parts. Gradients are those of the mean loss over the whole batch: each micro-batch
adds its sum divided by the batch's count, which equals one large batch even when samples differ in length.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from safetensors.numpy import load_file, save_file

from harness.model import IGNORE, Array, Batch, Measurement
from harness.problem import Problem, micro_batches
from harness.schedules import learning_rate
from harness.spec import AdamWOptimizer
from harness.spent import Clock, time_by_part
from harness.trainer import Trainer, Watch


class LoopTrainer(Trainer):
    """Base of the in-process trainers. Subclasses keep weights and gradients their own way.

    events: how often each thing has happened so far. position: steps done, which drives the schedule.
    epsilon: relative spacing of the numbers that weights are kept in. clock: where the time goes; what
    `backward` does not end as a part of its own counts as `gradients_part`.
    """

    epsilon: float
    gradients_part: ClassVar[str] = "gradients"

    def __init__(self, problem: Problem) -> None:
        self.config = problem.config
        self.names = tuple(tensor.name for tensor in problem.tensors)
        self.events = {"backward": 0, "update": 0, "zero_grad": 0}
        self.position = 0
        self.training = True
        self.clock = Clock()

    def step(self, batch: Batch, watch: Watch | None = None) -> float:
        """One optimizer step; returns the loss before it."""
        rate = self.learning_rate()
        self.clock.start()
        self.zero_gradients()
        self.clock.end("zero_gradients")
        loss = self.accumulate(batch)
        self.clock.end(self.gradients_part)
        if watch is not None:
            watch.gradients_ready()
            self.clock.start()
        self.clip()
        self.clock.end("clip")
        if watch is not None:
            watch.gradients_clipped()
            self.clock.start()
        self.update(rate)
        self.clock.end("update")
        self.clock.stop()
        if watch is not None:
            watch.updated(rate)
        self.position += 1
        return loss

    def measurements(self) -> Iterable[Measurement]:
        """Where the time of a step goes."""
        return time_by_part(self.clock.parts, self.position)

    def learning_rate(self) -> float:
        """The schedule's value for the next step."""
        optimizer = self.config.optimizer
        peak = optimizer.adamw.lr if isinstance(optimizer, AdamWOptimizer) else optimizer.sgd.lr
        return learning_rate(self.config.schedule, peak, self.position, self.config.steps)

    def accumulate(self, batch: Batch) -> float:
        """Add the gradients of a batch to those that are there; returns its mean loss."""
        total = counted(batch)
        return sum(self.backward(part, total) for part in self.parts(batch))

    def parts(self, batch: Batch) -> tuple[Batch, ...]:
        """The micro-batches; of fewer samples than there are micro-batches, each sample is one."""
        return micro_batches(batch, min(self.config.micro_batches, len(batch.sample_ids)))

    def gradients(self, batch: Batch) -> Mapping[str, Array]:
        """Gradients of a batch's mean loss, unclipped, as copies. Training goes on as if not asked."""
        kept, events = self.take_gradients(), dict(self.events)
        self.accumulate(batch)
        found = {
            name: (flat.copy() if flat is not None else flat)
            for name, flat in zip(self.names, self.gradient_arrays(), strict=True)
        }
        self.put_gradients(kept)
        self.events = events
        parameters = self.parameters()
        return {
            name: flat.reshape(parameters[name].shape) for name, flat in found.items() if flat is not None
        }

    def infer(self, inputs: Array) -> Array:
        """Logits in evaluation mode; the mode is left as it was."""
        mode = self.training
        self.train(False)
        try:
            return self.logits(inputs)
        finally:
            self.train(mode)

    def score(self, batch: Batch) -> float:
        """Share of the counted targets to which `infer` gives the largest logit."""
        if batch.targets.dtype.kind != "i":
            raise NotImplementedError("a regression predicts no classes")
        right = self.infer(batch.inputs).argmax(axis=-1) == batch.targets
        return float(right.sum() / counted(batch))

    def save(self, path: Path) -> None:
        """Write the weights as safetensors."""
        save_file({name: np.ascontiguousarray(values) for name, values in self.parameters().items()}, path)

    def open(self, path: Path) -> None:
        """Read weights back; all of them, or it is an error."""
        found = load_file(path)
        if set(found) != set(self.names):
            raise ValueError(f"{path}: holds {sorted(found)}, expected {sorted(self.names)}")
        self.load(found)

    def train(self, on: bool = True) -> None:
        """Training mode, or evaluation mode."""
        self.training = on

    def close(self) -> None:
        """Nothing to free unless a backend says so."""

    def zero_gradients(self) -> None:
        """Forget the gradients of the last step."""
        raise NotImplementedError

    def backward(self, batch: Batch, total: int) -> float:
        """Add the gradients of this part's summed loss over `total` targets; returns that loss."""
        raise NotImplementedError

    def clip(self) -> None:
        """Scale gradients down to `clip_norm`, if one is set."""
        raise NotImplementedError

    def update(self, learning_rate: float) -> None:
        """Let the optimizer move the weights."""
        raise NotImplementedError

    def weight_arrays(self) -> Sequence[Array]:
        """Current weights, flat, in the order of `names`; views of live memory where possible."""
        raise NotImplementedError

    def gradient_arrays(self) -> Sequence[Array | None]:
        """Current gradients, flat, in the order of `names`; None for a tensor that has none."""
        raise NotImplementedError

    def take_gradients(self) -> Any:
        """Set the gradients aside and start from none."""
        raise NotImplementedError

    def put_gradients(self, kept: Any) -> None:
        """Put back what `take_gradients` returned."""
        raise NotImplementedError


def counted(batch: Batch) -> int:
    """How many numbers the mean loss is taken over: targets that are not ignored."""
    targets = batch.targets
    return int((targets != IGNORE).sum()) if targets.dtype.kind == "i" else targets.size

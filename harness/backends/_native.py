"""The trainer of engines in C: weights and gradients are views of the engine's memory, nothing is copied."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.model import Array, Batch, Measurement
from harness.models.decoder import hidden_size, kv_heads
from harness.native import BUILTIN
from harness.native.compiler import library_file
from harness.native.library import Engine, Library
from harness.problem import Problem
from harness.spec import AdamWOptimizer, Config, Decoder, DecoderModel
from harness.spent import time_by_part
from harness.training import LoopTrainer


class NativeTrainer(LoopTrainer):
    """Drives an engine step by step. Engines compute in float32."""

    epsilon = float(np.finfo(np.float32).eps)

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        assert isinstance(problem.model, DecoderModel)
        self.vocabulary = problem.model.decoder.vocab
        self.engine = Engine(library_of(problem), config_text(problem), problem.tensors)
        shapes = {tensor.name: tensor.shape for tensor in problem.tensors}
        weights = zip(self.names, self.engine.weights, strict=True)
        self.weights: dict[str, Array] = {name: flat.reshape(shapes[name]) for name, flat in weights}
        for name in self.names:  # one at a time: together, in float64, they take twice the model's memory
            np.copyto(self.weights[name], problem.initial[name], casting="same_kind")

    def parameters(self) -> Mapping[str, Array]:
        """Views of the engine's weights."""
        return self.weights

    def load(self, parameters: Mapping[str, Array]) -> None:
        """Copy values in."""
        for name, values in parameters.items():
            np.copyto(self.weights[name], values, casting="same_kind")

    def logits(self, inputs: Array) -> Array:
        """Outputs of the training's forward pass."""
        return self.engine.logits("forward", inputs, self.vocabulary)

    def infer(self, inputs: Array) -> Array:
        """Logits of the engine's inference path, if it has one of its own."""
        function = "infer" if self.engine.has("infer") else "forward"
        return self.engine.logits(function, inputs, self.vocabulary)

    def loss(self, batch: Batch) -> float:
        """Mean loss over the counted targets."""
        total, count = self.engine.loss(batch.inputs, batch.targets)
        return total / count

    def zero_gradients(self) -> None:
        """Forget the gradients."""
        self.engine.call("zero_gradients")
        self.events["zero_grad"] += 1

    def backward(self, batch: Batch, total: int) -> float:
        """Forward, loss, backward in one call of the engine."""
        loss = self.engine.backward(batch.inputs, batch.targets, total)
        self.events["backward"] += 1
        return loss

    def clip(self) -> None:
        """Scale all gradients by one factor."""
        if self.config.clip_norm is not None:
            self.engine.clip(self.config.clip_norm)

    def update(self, learning_rate: float) -> None:
        """The engine's own optimizer."""
        self.engine.call("update", learning_rate)
        self.events["update"] += 1

    def optimized(self) -> tuple[str, ...]:
        """Tensors that have a gradient."""
        return tuple(
            name for name, flat in zip(self.names, self.engine.gradients, strict=True) if flat is not None
        )

    def weight_arrays(self) -> Sequence[Array]:
        """Flat views."""
        return self.engine.weights

    def gradient_arrays(self) -> Sequence[Array | None]:
        """Flat views; None where the engine has no room for a gradient."""
        return self.engine.gradients

    def take_gradients(self) -> list[Array | None]:
        """Copy the gradients, and set them to zero."""
        kept = [None if flat is None else flat.copy() for flat in self.engine.gradients]
        for flat in self.engine.gradients:
            if flat is not None:
                flat.fill(0)
        return kept

    def put_gradients(self, kept: list[Array | None]) -> None:
        """Put them back."""
        for flat, values in zip(self.engine.gradients, kept, strict=True):
            if flat is not None and values is not None:
                np.copyto(flat, values)

    def save(self, path: Path) -> None:
        """The engine's own checkpoint, if it writes any."""
        if self.engine.has("save"):
            self.engine.call("save", os.fsencode(path))
        else:
            super().save(path)

    def open(self, path: Path) -> None:
        """Read a checkpoint by whoever writes them."""
        if self.engine.has("load"):
            self.engine.call("load", os.fsencode(path))
        else:
            super().open(path)

    def state(self) -> Any:
        """Weights, what the optimizer remembers, and position, copied."""
        return [flat.copy() for flat in self.engine.weights], self.engine.state(), self.position

    def restore(self, state: Any) -> None:
        """Return to a state."""
        weights, optimizer, self.position = state
        for flat, values in zip(self.engine.weights, weights, strict=True):
            np.copyto(flat, values)
        self.engine.restore(optimizer)

    def measurements(self) -> Iterable[Measurement]:
        """memory.<part>, and where the time of a step goes: as the engine tells it, if it does."""
        if self.engine.has("memory"):
            for part, size in self.engine.memory().items():
                yield Measurement(name=f"memory.{part}", value=float(size), unit="B")
        told = self.engine.has("time")
        yield from time_by_part(self.engine.seconds(), self.position) if told else super().measurements()

    def close(self) -> None:
        """Let the engine go; its memory is freed with the last view of it."""
        self.weights = {}
        del self.engine


def library_of(problem: Problem) -> Library:
    """The library that computes a problem, built if need be: the case's own, or ours.

    Raises:
        HarnessError: it cannot be built or loaded.
    """
    sources, flags = (
        ((BUILTIN,), ()) if problem.library is None else (problem.library.sources, problem.library.flags)
    )
    return Library.open(library_file(sources, flags), ", ".join(Path(source).name for source in sources))


def config_text(problem: Problem) -> str:
    """What `engine_create` is told: a line for each key of engine.h."""
    assert isinstance(problem.model, DecoderModel)
    values = _model_values(problem.model.decoder) | _config_values(problem.config)
    return "".join(f"{key}={_plain(value)}\n" for key, value in values.items())


def _model_values(spec: Decoder) -> dict[str, Any]:
    same = (
        "vocab", "width", "layers", "heads", "norm", "norm_eps", "activation", "positions", "rope_theta",
        "attention_output", "attention_bias", "mlp_bias", "final_norm", "tied",
    )  # fmt: skip
    return {key: getattr(spec, key) for key in same} | {
        "kv_heads": kv_heads(spec),
        "hidden": hidden_size(spec),
    }


def _config_values(config: Config) -> dict[str, Any]:
    optimizer = config.optimizer
    values: dict[str, Any] = {"momentum": 0.0, "nesterov": False, "beta1": 0.0, "beta2": 0.0, "eps": 0.0}
    if isinstance(optimizer, AdamWOptimizer):
        adamw = optimizer.adamw
        values |= {"beta1": adamw.betas[0], "beta2": adamw.betas[1], "eps": adamw.eps}
        values |= {"optimizer": "adamw", "learning_rate": adamw.lr, "weight_decay": adamw.weight_decay}
    else:
        sgd = optimizer.sgd
        values |= {"momentum": sgd.momentum, "nesterov": sgd.nesterov}
        values |= {"optimizer": "sgd", "learning_rate": sgd.lr, "weight_decay": sgd.weight_decay}
    return values | {
        "sequence": config.sequence,
        "batch": max(1, config.batch // config.micro_batches),
        "threads": config.threads,
        "clip_norm": config.clip_norm or 0.0,
    }


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)

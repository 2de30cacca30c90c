"""The trainer whose forward pass, loss and backward pass inductor compiles. Imports torch."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._dynamo import config as dynamo

from harness.backends._compiling import CompilingTrainer
from harness.backends._torch import TorchTrainer
from harness.backends._turns import Turns
from harness.model import Batch
from harness.models import TorchModel
from harness.models.losses import counted, loss_of
from harness.problem import Problem
from harness.spec import DecoderModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # torch imports what it deprecates
    importlib.import_module("torch._inductor.compile_fx")

Parameters = Mapping[str, torch.Tensor]

OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {"fallback_random": True, "compile_threads": 1}
"""Dropout draws the masks that eager torch would; no compiler processes, which would outlive a killed run."""
GRAPHS = 256
"""One process compiles at most so many variants of a function; one more is an error, never eager torch."""

_TURNS = Turns()


def set_up() -> None:
    """Let torch compile each model to one graph, for as many shapes as a run has, or fail."""
    dynamo.recompile_limit = dynamo.accumulated_recompile_limit = GRAPHS
    dynamo.fail_on_recompile_limit_hit = True
    _TURNS.take()
    dynamo.capture_scalar_outputs = True  # the count of targets must not cut the graph in two


def _forward(model: TorchModel, parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
    return model(parameters, inputs)


def _total(
    model: TorchModel, parameters: Parameters, inputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    return model.loss_sum(model(parameters, inputs), targets)[0]


# One of each for the whole process: what one trainer compiled, the next one of the same model finds ready.
# Inference meets many lengths, and takes one graph for them all; a training has one or two shapes.
forward = torch.compile(_forward, fullgraph=True, dynamic=False, options=OPTIONS)
total = torch.compile(_total, fullgraph=True, dynamic=False, options=OPTIONS)


class CompiledTrainer(CompilingTrainer, TorchTrainer):
    """`TorchTrainer` on compiled functions; the optimizer stays torch's own."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        model = problem.model
        self.loss_name = loss_of(model.decoder if isinstance(model, DecoderModel) else model.mlp)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs of the compiled model; the sizes of a batch of tokens are left open in its graph."""
        torch._dynamo.maybe_mark_dynamic(inputs, [0, 1])  # noqa: SLF001 - there is no public name
        return forward(self.model, self.tensors, inputs)

    def _loss_sum(self, batch: Batch) -> tuple[torch.Tensor, int]:
        if not torch.is_grad_enabled():
            return super()._loss_sum(batch)  # of the compiled model's outputs: one graph less
        inputs, targets = self.to_torch(batch.inputs), self.to_torch(batch.targets)
        return total(self.model, self.tensors, inputs, targets), counted(self.loss_name, batch.targets)

"""The trainer of `torch_ddp`: one replica in every rank, its gradients averaged by torch's own wrapper."""

import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from itertools import count
from typing import Any, ClassVar

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from harness.backends._ranks import Ranks, Serve
from harness.backends._torch import TorchTrainer
from harness.model import Array, Batch
from harness.models import TorchModel
from harness.problem import Problem
from harness.trainer import Rank

_NUMBERS = count()


class _Module(torch.nn.Module):
    """A model and its weights as the module that the wrapper wants; forward gives the summed loss."""

    def __init__(self, model: TorchModel, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.model, self.tensors = model, tensors
        for name, tensor in tensors.items():
            assert isinstance(tensor, torch.nn.Parameter)
            self.register_parameter(name.replace(".", "/"), tensor)

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss summed over the counted targets."""
        return self.model.loss_sum(self.model(self.tensors, inputs), targets)[0]


class Replica(TorchTrainer):
    """One rank's copy. Every rank does the same things at the same time, on its own part of each micro-batch.

    synchronises: gradients are averaged over the ranks. shares: each rank takes its own samples. seen: ids of
    the samples that went into the gradients since they were last forgotten.
    """

    synchronises = True
    shares = True
    gradients_part: ClassVar[str] = "gradients"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.rank, self.number = distributed.get_rank(), distributed.get_world_size()
        self.replicated = DistributedDataParallel(_Module(self.model, self.tensors))
        self.seen: list[int] = []
        self.aside: list[list[torch.Tensor | None]] = []

    def zero_gradients(self) -> None:
        """Forget the gradients."""
        super().zero_gradients()
        self.seen = []

    def backward(self, batch: Batch, total: int) -> float:
        """This rank's part of a micro-batch, weighted by the whole batch's count; the loss of all parts.

        The wrapper averages over the ranks: times their number, the average is the sum.
        """
        part, weight = self.part(batch)
        self.seen += part.sample_ids.tolist() if weight else []
        with nullcontext() if self.synchronises else self.replicated.no_sync():
            inputs, targets = self.to_torch(part.inputs), self.to_torch(part.targets)
            loss = self.replicated(inputs, targets) * (weight / total)
            (loss * self.number).backward()
        self.events["backward"] += 1
        loss = loss.detach()
        distributed.all_reduce(loss)
        return float(loss)

    def part(self, batch: Batch) -> tuple[Batch, float]:
        """Every n-th sample from this rank's own on; where there is none, any one, without weight."""
        first = self.rank if self.shares else 0
        number = len(batch.sample_ids)
        rows = np.arange(first, number, self.number) if first < number else np.zeros(1, np.int64)
        arrays = {each.name: getattr(batch, each.name)[rows] for each in fields(batch)}
        return Batch(**arrays), 1.0 if first < number else 0.0

    def set_aside(self) -> None:
        """Set this rank's gradients aside."""
        self.aside.append(super().take_gradients())

    def put_back(self) -> None:
        """Put this rank's gradients back."""
        super().put_gradients(self.aside.pop())

    def packed(self) -> bytes:
        """All that this rank's training depends on."""
        packed = io.BytesIO()
        torch.save(super().state(), packed)
        return packed.getvalue()

    def unpack(self, state: bytes) -> None:
        """Return to what was `packed`."""
        super().restore(torch.load(io.BytesIO(state), weights_only=True))

    def report(self) -> Rank:
        """This rank's weights and samples."""
        weights = {name: np.array(values) for name, values in self.parameters().items()}
        return Rank(parameters=weights, sample_ids=tuple(self.seen))


class DdpTrainer(Replica):
    """Rank 0, which drives the others. What only reads is asked of its own replica."""

    def __init__(self, problem: Problem) -> None:
        assert Ranks.current is not None, "configure the backend first"
        self.others, self.key = Ranks.current, next(_NUMBERS)
        given = [(self.key, problem)] * (self.others.number - 1)
        self.others.order(lambda: super(DdpTrainer, self).__init__(problem), "build", given)

    def everywhere(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every rank's replica; what each answers."""
        return self.each(method, [arguments] * self.others.number)

    def each(self, method: str, arguments: Sequence[Sequence[Any]]) -> list[Any]:
        """The same with arguments of their own."""
        mine, *theirs = arguments
        given = [(self.key, method, *one) for one in theirs]
        return self.others.order(lambda: getattr(Replica, method)(self, *mine), "call", given)

    def set_everywhere(self, name: str, value: Any) -> None:
        """Set an attribute of every rank's replica."""
        self.everywhere("__setattr__", name, value)

    def zero_gradients(self) -> None:
        """Forget the gradients of all ranks."""
        self.everywhere("zero_gradients")

    def backward(self, batch: Batch, total: int) -> float:
        """Forward, loss, backward in all ranks; returns the loss of the whole."""
        return float(self.everywhere("backward", batch, total)[0])

    def clip(self) -> None:
        """Scale the gradients of all ranks."""
        self.everywhere("clip")

    def update(self, learning_rate: float) -> None:
        """Let the optimizers of all ranks step."""
        self.everywhere("update", learning_rate)

    def load(self, parameters: Mapping[str, Array]) -> None:
        """Copy values into all ranks."""
        self.everywhere("load", {name: np.array(values) for name, values in parameters.items()})

    def train(self, on: bool = True) -> None:
        """Training or evaluation mode in all ranks."""
        self.everywhere("train", on)

    def take_gradients(self) -> list[torch.Tensor | None]:
        """Set the gradients of all ranks aside; returns those of rank 0."""
        self.everywhere("set_aside")
        return self.aside[-1]

    def put_gradients(self, kept: list[torch.Tensor | None]) -> None:
        """Put back those that were set aside last, and these in rank 0."""
        self.aside[-1] = kept
        self.everywhere("put_back")

    def state(self) -> Any:
        """The state of each rank."""
        return self.everywhere("packed")

    def restore(self, state: Any) -> None:
        """Return each rank to its own."""
        self.each("unpack", [(one,) for one in state])

    def ranks(self) -> Sequence[Rank]:
        """What each rank holds."""
        return self.everywhere("report")

    def close(self) -> None:
        """Let all ranks forget it."""
        if not self.others.broken and self.others is Ranks.current:
            self.others.order(lambda: None, "close", [(self.key,)] * (self.others.number - 1))


def server() -> Serve:
    """What the ranks from 1 on do: build replicas, call their methods, forget them."""
    replicas: dict[int, Replica] = {}

    def serve(name: str, arguments: Sequence[Any]) -> Any:
        key, *rest = arguments
        if name == "build":
            replicas[key] = Replica(*rest)
        elif name == "close":
            del replicas[key]
        else:
            return getattr(replicas[key], rest[0])(*rest[1:])
        return None

    return serve

"""The trainers on a GPU, eager and compiled. Imports torch."""

from collections.abc import Iterable
from typing import ClassVar

import torch

from harness.backends._compiled import CompiledTrainer
from harness.backends._torch import TorchTrainer
from harness.model import Batch, Measurement
from harness.problem import Problem
from harness.trainer import Watch


class CudaTrainer(TorchTrainer):
    """`TorchTrainer` with everything on the GPU. A step is over when the GPU has done it."""

    device: ClassVar[str] = "cuda"

    def __init__(self, problem: Problem) -> None:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.manual_seed(problem.config.seed)
        super().__init__(problem)
        torch.cuda.synchronize()

    def step(self, batch: Batch, watch: Watch | None = None) -> float:
        """One optimizer step, from an idle GPU to an idle GPU."""
        torch.cuda.synchronize()
        loss = super().step(batch, watch)
        torch.cuda.synchronize()
        return loss

    def measurements(self) -> Iterable[Measurement]:
        """device_memory: the allocator's peaks since this trainer was made, in bytes.

        Not where the time goes: this process only asks for work, and what the GPU is at it does not know.
        """
        yield from (each for each in super().measurements() if not each.name.startswith("time."))
        allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        yield Measurement(name="device_memory.allocated", value=float(allocated), unit="B")
        yield Measurement(name="device_memory.reserved", value=float(reserved), unit="B")

    def random_state(self) -> torch.Tensor:
        """The state of the GPU's generator."""
        return torch.cuda.get_rng_state()

    def set_random_state(self, state: torch.Tensor) -> None:
        """Return to a `random_state`."""
        torch.cuda.set_rng_state(state)


class CompiledCudaTrainer(CudaTrainer, CompiledTrainer):
    """The same, compiled by inductor to Triton kernels."""

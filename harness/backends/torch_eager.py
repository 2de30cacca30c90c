"""PyTorch on the CPU, eager, with torch's own optimizers and clipping."""

from collections.abc import Mapping
from typing import Any, ClassVar

from harness.backends import Backend
from harness.problem import Problem
from harness.spec import Config
from harness.trainer import Trainer


class TorchEager(Backend):
    """One operation after the other, under autograd."""

    packages: ClassVar[Mapping[str, str]] = {"torch": "torch>=2.9"}
    # torch.optim imports torch._dynamo at its first step: a second a run, unless the server has done it.
    preload: ClassVar[tuple[str, ...]] = (
        "torch",
        "torch._dynamo",
        "harness.backends._torch",
        "harness.models.decoder_torch",
        "harness.models.mlp_torch",
    )

    def configure(self, config: Config) -> Mapping[str, Any]:
        """Set threads, seeds and deterministic algorithms."""
        import torch  # noqa: PLC0415 - only where torch runs

        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        torch.use_deterministic_algorithms(True)
        return {
            "device": "cpu",
            "threads": config.threads,
            "dtype": config.dtype,
            "deterministic_algorithms": True,
        }

    def build(self, problem: Problem) -> Trainer:
        """A trainer that holds the problem's starting weights."""
        from harness.backends._torch import TorchTrainer  # noqa: PLC0415 - imports torch

        return TorchTrainer(problem)

"""PyTorch on an NVIDIA GPU, compiled by inductor to Triton kernels."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from harness.backends.torch_compile import TorchCompile
from harness.backends.torch_cuda import TorchCuda
from harness.problem import Problem
from harness.spec import Config
from harness.trainer import Trainer


class TorchCudaCompile(TorchCuda):
    """As `torch_cuda`, with forward pass, loss and backward pass in one graph each."""

    preload: ClassVar[tuple[str, ...]] = TorchCompile.preload

    def unavailable(self) -> str:
        """What `torch_cuda` and `torch_compile` need, and Triton."""
        lacking = super().unavailable() or TorchCompile().unavailable()
        if not lacking and find_spec("triton") is None:
            return "needs triton: pip install triton"
        return lacking

    def keep_in(self, cache: Path) -> None:
        """As `torch_compile`."""
        TorchCompile().keep_in(cache)

    def configure(self, config: Config) -> Mapping[str, Any]:
        """As `torch_cuda`, and no processes that compile."""
        from harness.backends._compiled import set_up  # noqa: PLC0415 - imports torch

        set_up()
        return {**super().configure(config), "compiler": "inductor"}

    def build(self, problem: Problem) -> Trainer:
        """A trainer that holds the problem's starting weights on the GPU."""
        from harness.backends._cuda import CompiledCudaTrainer  # noqa: PLC0415 - imports torch

        return CompiledCudaTrainer(problem)

"""PyTorch on an NVIDIA GPU, eager, in full float32 and with deterministic kernels."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.backends.torch_eager import TorchEager
from harness.model import BrokenError
from harness.problem import Problem
from harness.spec import Config
from harness.trainer import Trainer

DEVICES = Path("/dev")
WORKSPACE = ":4096:8"
"""What cuBLAS needs to sum in the same order every time (its `CUBLAS_WORKSPACE_CONFIG`)."""


class TorchCuda(TorchEager):
    """One operation after the other on the GPU. The process that forks must not have touched the GPU."""

    def unavailable(self) -> str:
        """Without torch, a GPU, or a build of torch for it. The GPU is not asked, only looked for."""
        if lacking := super().unavailable():
            return lacking
        if not any(DEVICES.glob("nvidia[0-9]*")):
            return f"needs an NVIDIA GPU: there is no {DEVICES}/nvidia0"
        found = find_spec("torch")
        library = Path(found.origin or "").parent / "lib" / "libtorch_cuda.so" if found else Path()
        if not library.is_file():
            return "needs a build of torch with CUDA, this one has none: install another, see its site"
        return ""

    def configure(self, config: Config) -> Mapping[str, Any]:
        """As `torch_eager`; no TensorFloat-32, and one order of every sum.

        Raises:
            BrokenError: torch cannot use the GPU.
        """
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = WORKSPACE  # read when cuBLAS is first used
        import torch  # noqa: PLC0415 - only where torch runs

        if not torch.cuda.is_available():
            raise BrokenError(
                "torch cannot use the GPU that is there; nvidia-smi tells more, as an old driver"
            )
        found = super().configure(config)
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        return {
            **found,
            "device": f"cuda ({torch.cuda.get_device_name()})",
            "cuda": torch.version.cuda,
            "tf32": False,
            "cublas_workspace": WORKSPACE,
        }

    def build(self, problem: Problem) -> Trainer:
        """A trainer that holds the problem's starting weights on the GPU."""
        from harness.backends._cuda import CudaTrainer  # noqa: PLC0415 - imports torch

        return CudaTrainer(problem)

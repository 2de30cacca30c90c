"""PyTorch on the CPU, compiled by inductor to C++, with torch's own optimizers and clipping."""

import os
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from harness.backends.torch_eager import TorchEager
from harness.problem import Problem
from harness.spec import Config
from harness.trainer import Trainer

INCLUDE = sysconfig.get_path("include")
"""Where the headers of this Python are; looked up here, as `unavailable` may load nothing."""


class TorchCompile(TorchEager):
    """Forward pass with loss, and backward pass, in one graph each; compiled for each shape, kept on disk."""

    preload: ClassVar[tuple[str, ...]] = (*TorchEager.preload, "harness.backends._compiled")

    def unavailable(self) -> str:
        """Without torch, a C++ compiler, or the headers of Python, which the compiled code includes."""
        compiler = os.environ.get("CXX", "g++")
        if lacking := super().unavailable():
            return lacking
        if shutil.which(compiler) is None:
            return (
                f"needs a C++ compiler, '{compiler}' is not there: apt-get install g++, or set CXX to another"
            )
        if not Path(INCLUDE, "Python.h").is_file():
            return f"needs the headers of Python, {INCLUDE} has none: apt-get install python3-dev"
        return ""

    def keep_in(self, cache: Path) -> None:
        """What inductor generates and compiles is named by its content."""
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str((cache / "inductor").absolute())

    def configure(self, config: Config) -> Mapping[str, Any]:
        """As `torch_eager`, and no processes that compile."""
        from harness.backends._compiled import set_up  # noqa: PLC0415 - imports torch

        set_up()
        return {**super().configure(config), "compiler": "inductor"}

    def build(self, problem: Problem) -> Trainer:
        """A trainer that holds the problem's starting weights."""
        from harness.backends._compiled import CompiledTrainer  # noqa: PLC0415 - imports torch

        return CompiledTrainer(problem)

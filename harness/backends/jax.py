"""JAX on the CPU: pure functions compiled by XLA, with optax's optimizers."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from harness.backends import Backend
from harness.problem import Problem
from harness.spec import Case, Config, DecoderModel
from harness.trainer import Trainer


class Jax(Backend):
    """Gradients by `jax.value_and_grad`; one compilation for each shape."""

    packages: ClassVar[Mapping[str, str]] = {"jax": "jax>=0.6", "optax": "optax>=0.2.4"}
    # Importing starts no thread and asks for no device, so that forking afterwards is safe.
    preload: ClassVar[tuple[str, ...]] = ("jax", "jax.numpy", "optax", "harness.models.decoder_jax")

    def unsupported(self, case: Case) -> str:
        """Dropout: its random masks would be others than torch's."""
        model = case.model
        if isinstance(model, DecoderModel) and model.decoder.dropout:
            return f"draws no random masks, model.decoder.dropout is {model.decoder.dropout:.4g}; expected 0"
        return ""

    def keep_in(self, cache: Path) -> None:
        """What XLA compiles is named by its content."""
        import jax  # noqa: PLC0415 - only where JAX runs

        jax.config.update("jax_compilation_cache_dir", str((cache / "jax").absolute()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

    def configure(self, config: Config) -> Mapping[str, Any]:
        """Set device and threads; the latter count only before the process has computed anything.

        64-bit numbers are allowed whatever the dtype: every array says its own, and tokens stay int64.
        """
        os.environ["PJRT_NPROC"] = str(config.threads)  # the size of the pool in which XLA computes
        import jax  # noqa: PLC0415 - only where JAX runs

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_enable_x64", True)
        return {"device": "cpu", "threads": config.threads, "dtype": config.dtype, "compiler": "xla"}

    def build(self, problem: Problem) -> Trainer:
        """A trainer that holds the problem's starting weights."""
        from harness.backends._jax import JaxTrainer  # noqa: PLC0415 - imports jax

        return JaxTrainer(problem)

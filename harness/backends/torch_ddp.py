"""PyTorch on the CPU in several processes that share each batch (DistributedDataParallel over gloo)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from harness.backends.torch_eager import TorchEager
from harness.problem import Problem
from harness.spec import Case, Config, DecoderModel
from harness.trainer import Trainer


class TorchDdp(TorchEager):
    """`config.ranks` replicas; each takes its part of a micro-batch, and gradients are those of the whole."""

    preload: ClassVar[tuple[str, ...]] = (*TorchEager.preload, "harness.backends._ddp")

    def unsupported(self, case: Case) -> str:
        """One rank, which distributes nothing, and dropout, whose masks each rank would draw for itself."""
        if case.config.ranks < 2:
            return "distributes nothing, config.ranks is 1; expected 2 or more"
        model = case.model
        if isinstance(model, DecoderModel) and model.decoder.dropout:
            return (
                f"draws masks in each rank, model.decoder.dropout is {model.decoder.dropout:.4g}; expected 0"
            )
        return ""

    def cores(self, config: Config) -> int:
        """Those of every rank."""
        return config.threads * config.ranks

    def configure(self, config: Config) -> Mapping[str, Any]:
        """As `torch_eager`, in every rank. Starts the others, while nothing has been computed yet."""
        from harness.backends import _ddp, _ranks  # noqa: PLC0415 - imports torch

        found = super().configure(config)
        _ranks.Ranks.start(config.ranks, config.threads, _ddp.server)
        return {**found, "ranks": config.ranks, "communication": "gloo"}

    def build(self, problem: Problem) -> Trainer:
        """A trainer that holds the problem's starting weights, in all ranks."""
        from harness.backends._ddp import DdpTrainer  # noqa: PLC0415 - imports torch

        return DdpTrainer(problem)

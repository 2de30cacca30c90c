"""What faults of the optimizer share, whichever backend it belongs to."""

from typing import Any

from harness.faults._loops import is_torch


def forget(trainer: Any) -> None:
    """Drop all that the optimizer remembers."""
    if is_torch(trainer):
        trainer.optimizer.state.clear()
    elif hasattr(trainer, "rule"):
        trainer.rule.memory.clear()
    else:  # of JAX
        trainer.memory = trainer.optimizer.init(trainer.weights)


def remake(trainer: Any, tensors: list[Any]) -> None:
    """Give a torch trainer a fresh optimizer of the case's kind over these tensors."""
    from harness.backends._torch import make_optimizer  # noqa: PLC0415 - imports torch

    trainer.optimizer = make_optimizer(trainer.config, tensors)


def review(trainer: Any) -> None:
    """Take the views of a torch trainer's weights anew, after its tensors were replaced."""
    from harness.backends._torch import to_numpy  # noqa: PLC0415 - imports torch

    trainer.views = (
        None
        if trainer.views is None
        else [to_numpy(tensor.detach()).reshape(-1) for tensor in trainer.tensors.values()]
    )

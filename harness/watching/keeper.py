"""Keeps what all observers need: trainings, models that were called, losses since the last update."""

from typing import Any

import torch
from torch.nn.utils.parametrize import ParametrizationList

from harness.watching.events import Call
from harness.watching.hub import Hub
from harness.watching.training import Training

MOST_MODELS = 12
"""Root modules that are kept alive, so that questions can be put to them at the end."""


class Keeper:
    """Listens first of all."""

    def optimizer_made(self, hub: Hub, optimizer: torch.optim.Optimizer) -> None:
        """One more optimizer."""
        hub.optimizers[id(optimizer)] = optimizer

    def called(self, hub: Hub, call: Call) -> None:
        """A root module with parameters is a model."""
        if (
            call.depth == 0
            and len(hub.models) < MOST_MODELS
            and not isinstance(call.module, ParametrizationList)  # it makes a weight, of another module
            and next(call.module.parameters(), None) is not None
        ):
            hub.models.setdefault(id(call.module), call.module)

    def scaled(self, hub: Hub, scaler: Any) -> None:
        """Losses are multiplied from now on."""
        hub.scale = float(scaler.get_scale())

    def backward_ended(self, hub: Hub, roots: Any) -> None:
        """Note the value of each loss."""
        hub.roots += [float(root.detach()) / hub.scale for root in roots if root.numel() == 1]
        for training in hub.trainings.values():
            training.backwards += 1

    def clipping(self, hub: Hub, parameters: Any, limit: float) -> None:
        """Gradients as they are before, of every training that is meant."""
        del limit
        meant = {id(each) for each in parameters}
        for training in hub.trainings.values():
            if training.unclipped is None and any(id(each) in meant for each in training.parameters):
                training.clipping()

    def unscaled(self, hub: Hub, scaler: Any, optimizer: torch.optim.Optimizer) -> None:
        """Gradients are about to be divided by a factor, which torch does not count as a change."""
        del scaler
        training = hub.trainings.get(id(optimizer))
        if training is not None:
            training.forget()

    def stepping(self, hub: Hub, optimizer: torch.optim.Optimizer, late: bool) -> None:
        """Before an update; the first one makes the training."""
        training = hub.trainings.get(id(optimizer))
        if training is None:
            hub.optimizers[id(optimizer)] = optimizer
            training = hub.trainings[id(optimizer)] = _begun(hub, optimizer)
            training.backwards = len(hub.roots)
        training.stepping(late=late)

    def stepped(self, hub: Hub, optimizer: torch.optim.Optimizer) -> None:
        """After it."""
        training = hub.trainings.get(id(optimizer))
        if training is None:
            return
        rate = max((float(group.get("lr", 0.0)) for group in optimizer.param_groups), default=0.0)
        loss = sum(hub.roots) / len(hub.roots) if hub.roots else _last(training)
        training.stepped(loss, rate)
        training.ends.append(hub.clock)
        hub.latest = training
        hub.roots.clear()


def _last(training: Training) -> float:
    """No loss since another optimizer stepped: the same backward pass served both."""
    return training.losses[-1] if training.losses else 0.0


def _begun(hub: Hub, optimizer: torch.optim.Optimizer) -> Training:
    held = [each for group in optimizer.param_groups for each in group["params"]]
    parameters = [each for each in held if each.requires_grad] or held
    names = [
        hub.name_of(each) or f"parameter {number} ({'x'.join(map(str, each.shape))})"
        for number, each in enumerate(parameters)
    ]
    return Training(
        name=f"{type(optimizer).__name__} {len(hub.trainings) + 1}",
        tensors=tuple(names),
        parameters=parameters,
    )

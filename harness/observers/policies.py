"""Policies that learn from a critic: are actions that turned out better than expected made likelier?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.observers import Observer
from harness.watching.events import Call, Loss

LOOKS = 300
MOST_ACTIONS, MOST_CALLS, MOST_ROWS = 64, 512, 1 << 16
LEAST_ROWS = 8
ALONE = 0.8
"""Of the rows, so many have one element whose gradient points the other way: the action that was taken."""


class Policies(Observer):
    """Compares the gradient that reaches each action with how the critic's target lies to its value."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.gradients: dict[int, list[Any]] = {}
        self.errors: list[Any] = []
        self.signs: list[float] = []

    def called(self, hub: Any, call: Call) -> None:
        """Outputs with one value an action: their gradient is noted as it comes."""
        import torch  # noqa: PLC0415 - only where torch runs

        output = call.output
        if not torch.is_grad_enabled() or not isinstance(output, torch.Tensor) or output.grad_fn is None:
            return
        if output.dim() != 2 or not 2 <= output.shape[1] <= MOST_ACTIONS or len(self.signs) >= LOOKS:
            return
        told = self.gradients.setdefault(id(call.module), [])
        if hub.sampled(hub.updates, first=64) and len(told) < MOST_CALLS:
            place = len(told)
            told.append(None)
            output.register_hook(lambda gradient: self._note(told, place, gradient))

    def _note(self, told: list[Any], place: int, gradient: Any) -> None:
        """The gradient of one output, as it passes; nothing is changed."""
        told[place] = gradient.detach().double().cpu().numpy()

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """A critic's loss."""
        del hub
        if loss.kind in ("mse_loss", "smooth_l1_loss", "huber_loss") and loss.predicted.requires_grad:
            self._critic(loss.predicted, loss.target)

    def subtracted(self, hub: Any, one: Any, other: Any, result: Any) -> None:
        """A critic's loss that people write."""
        del hub, result
        if one.requires_grad != other.requires_grad:
            self._critic(*((one, other) if one.requires_grad else (other, one)))

    def _critic(self, value: Any, target: Any) -> None:
        if not self.gradients or value.shape != target.shape or target.requires_grad:
            return
        if LEAST_ROWS <= value.numel() <= MOST_ROWS:
            error = target.detach().double().reshape(-1) - value.detach().double().reshape(-1)
            self.errors = [*self.errors[-3:], error.cpu().numpy()]

    def backward_ended(self, hub: Any, roots: Any) -> None:
        """Do they go together? Rows of several calls stand in their order, as those of a rollout do."""
        del hub, roots
        for each in self.gradients.values():
            known = [gradient for gradient in each if gradient is not None]
            rows = np.concatenate(known) if known and len({one.shape[1] for one in known}) == 1 else None
            for error in [one for one in self.errors if rows is not None and len(one) == len(rows)][-1:]:
                sign = _together(rows, error)
                self.signs += [] if sign is None else [sign]

    def stepped(self, hub: Any, optimizer: Any) -> None:
        """The next update has a critic's loss of its own."""
        del hub, optimizer
        self.errors.clear()
        self.gradients.clear()

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Correlation of what each action's gradient pulls with its critic's error: the mean; how many."""
        del hub
        if not self.signs:
            raise NotImplementedError("no policy learns beside a critic")
        signs = np.array(self.signs)
        return {
            "looked": len(signs), "together": float(signs.mean()), "against": float((signs > 0).mean()),
        }  # fmt: skip


def _together(gradient: Any, error: Any) -> float | None:
    """Correlation of the gradient of the actions taken with the error; None where none stands out.

    The gradient of -advantage * log softmax is advantage * (p - 1) for the action taken, and advantage * p
    for all others: it alone has its sign.
    """
    if not np.isfinite(gradient).all() or not np.isfinite(error).all() or gradient.shape[1] < 2:
        return None
    largest = np.abs(gradient).argmax(1)
    taken = gradient[np.arange(len(gradient)), largest]
    others = gradient.sum(1) - taken
    clear = (np.abs(taken) > 0) & (np.sign(others) != np.sign(taken))
    if clear.mean() < ALONE or taken[clear].std() == 0 or error[clear].std() == 0:
        return None
    if (taken[clear] < 0).all() or (taken[clear] > 0).all():
        return None  # classes, of which each has its target
    return float(np.corrcoef(taken[clear], error[clear])[0, 1])

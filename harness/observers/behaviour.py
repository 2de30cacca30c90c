"""Questions put to a copy of each trained model once the program has ended, with its last batch."""

import time
from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from harness.observers import Observer
from harness.observers._history import cut_off
from harness.watching.events import Call, Loss

if TYPE_CHECKING:
    from harness.watching.replay import LastCall

MOST_SECONDS = 20.0
MOST_WIDTHS = 4


class Behaviour(Observer):
    """Keeps references to the last batch; copies are made, and asked, at the end only."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.calls: dict[int, LastCall] = {}
        self.widths: dict[int, set[int]] = {}
        self.pending: Any = None
        self.depth = 0

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """A model is at work: a loss that comes now is part of it."""
        del hub, module, args
        self.depth = depth + 1

    def called(self, hub: Any, call: Call) -> None:
        """Remember the call."""
        import torch  # noqa: PLC0415 - only where torch runs

        from harness.watching.replay import LastCall  # noqa: PLC0415 - brings torch
        from harness.watching.tensors import first_tensor, is_tokens, shifts_of  # noqa: PLC0415 - as above

        self.depth = call.depth
        if call.depth or id(call.module) not in hub.models or not torch.is_grad_enabled():
            return
        target, self.pending = self.pending, None
        first = first_tensor(call.output)
        if first is None or first.dim() == 0 or not first.requires_grad:
            return
        last = LastCall(call.args, call.kwargs, first.untyped_storage().data_ptr(), tuple(first.shape))
        self.calls[id(call.module)] = last
        last.widths = self._widths(call.module, last.inputs)
        if target is not None and is_tokens(last.inputs):
            last.shifts = shifts_of(last.inputs, *target)

    def _widths(self, module: Any, inputs: Any) -> int:
        """How many different lengths this model's samples had."""
        known = self.widths.setdefault(id(module), set())
        if inputs is not None and inputs.dim() > 1 and len(known) < MOST_WIDTHS:
            known.add(int(inputs.shape[1]))
        return len(known)

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """A loss of an output as it came can be repeated on a copy; its target tells what is predicted."""
        import torch  # noqa: PLC0415 - only where torch runs

        del hub
        if not torch.is_grad_enabled() or not loss.predicted.requires_grad or loss.result.numel() != 1:
            return
        if self.depth:
            whole = not loss.target.is_floating_point()
            self.pending = (loss.target.detach(), cut_off(loss.predicted)) if whole else None
            return
        for last in self.calls.values():
            self._of_output(last, loss)

    def _of_output(self, last: "LastCall", loss: Loss) -> None:
        from harness.watching.tensors import hides, is_tokens, shifts_of  # noqa: PLC0415 - brings torch

        whole, target = not loss.target.is_floating_point(), loss.target.detach()
        if loss.kind == "cross_entropy" and whole and is_tokens(last.inputs):
            # Of several heads, each with its own distance, one is the next token's.
            for shift, share in shifts_of(last.inputs, target, cut_off(loss.predicted)).items():
                last.shifts[shift] = max(share, last.shifts.get(shift, 0.0))
            last.target = target
            last.hidden += hides(last.inputs, target)
        if loss.predicted.untyped_storage().data_ptr() == last.storage and not loss.target.requires_grad:
            last.kind, last.target = loss.kind, target
            last.begins = int(loss.predicted.storage_offset())
            last.loss = _again(loss, target) if loss.predicted.numel() == prod(last.shape) else None

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By trained model, what was asked and answered."""
        from harness.watching.questions import ask  # noqa: PLC0415 - brings torch

        deadline = time.monotonic() + MOST_SECONDS
        asked = [
            {"model": type(model).__name__, **ask(model, self.calls[id(model)], deadline)}
            for model in hub.trained_models()
            if id(model) in self.calls
        ]
        if not asked:
            raise NotImplementedError("no call of a trained model could be repeated")
        return {"models": asked}


def _again(loss: Loss, target: Any) -> Callable[[Any], Any]:
    """The loss of another output of the same form."""
    import torch  # noqa: PLC0415 - only where torch runs

    function, shape = getattr(torch.nn.functional, loss.kind), tuple(loss.predicted.shape)
    options = (
        {**loss.options, "weight": None} if loss.options.get("weight") is not None else dict(loss.options)
    )

    def again(output: Any) -> Any:
        held_to = target.to(output.dtype) if target.is_floating_point() else target
        return function(output.reshape(shape), held_to, **options)

    return again

"""Which mode are models in when they train and when they are evaluated, and is dropout where it belongs?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.observers import Observer
from harness.watching.events import Call, Loss
from harness.watching.places import place

NORMALIZING = ("BatchNorm", "SyncBatchNorm")
DROPPING = ("Dropout", "AlphaDropout", "FeatureAlphaDropout")


@dataclass(slots=True)
class _Modes:
    """Calls of one model by what came of them."""

    model: str
    dropout: float = 0.0
    dropping: int = 0
    normalizing: int = 0
    train_steps: int = 0
    eval_steps: int = 0
    eval_after_train: int = 0
    quieted: int = 0
    first_eval_step: int = -1
    quiet_train: int = 0
    quiet_eval: int = 0
    quiet_train_scored: int = 0
    everything_dropped: int = 0
    single: int = 0
    outputs: list[int] = field(default_factory=list)
    pending: list[bool] = field(default_factory=list)


class Modes(Observer):
    """Root modules only: what is frozen inside them on purpose is theirs."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.modes: dict[int, _Modes] = {}
        self.quiet_outputs: dict[int, int] = {}
        self.inside: list[Any] = []
        self.dropped_in_evaluation = 0
        self.drop_place = ""

    def dropped(self, hub: Any, share: float, training: bool) -> None:
        """Dropout that acts while every module that is at work is in evaluation mode."""
        del hub
        if training and share > 0 and self.inside and not any(each.training for each in self.inside):
            self.dropped_in_evaluation += 1
            self.drop_place = self.drop_place or place()

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """A quiet output that goes on into another model was no evaluation: a generator's, say."""
        del hub
        self.inside = [*self.inside[:depth], module]
        if depth:
            return
        for each in args:
            number = self.quiet_outputs.pop(_storage(each), None)
            if number is not None:
                self.modes[number].quiet_train -= 1

    def called(self, hub: Any, call: Call) -> None:
        """One call of a root module."""
        import torch  # noqa: PLC0415 - only where torch runs

        self.inside = self.inside[: call.depth]
        if call.depth or id(call.module) not in hub.models:
            return
        modes = self.modes.get(id(call.module)) or self._first(call.module)
        if not torch.is_grad_enabled():
            self._quiet(modes, call.module, call.output)
            return
        if not any(each.requires_grad for each in call.module.parameters()):
            return
        modes.single += _rows(call.args) == 1
        modes.pending.append(bool(call.module.training))
        del modes.pending[:-64]

    def _quiet(self, modes: _Modes, module: Any, output: Any) -> None:
        if not module.training:
            modes.quiet_eval += 1
            return
        modes.quiet_train += 1
        self.quiet_outputs[_storage(output)] = id(module)
        if len(self.quiet_outputs) > 64:
            self.quiet_outputs.pop(next(iter(self.quiet_outputs)))

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """A loss of a quiet output: that was an evaluation, in training mode."""
        import torch  # noqa: PLC0415 - only where torch runs

        del hub
        if not torch.is_grad_enabled():
            number = self.quiet_outputs.get(_storage(loss.predicted))
            if number is not None:
                self.modes[number].quiet_train_scored += 1

    def stepped(self, hub: Any, optimizer: Any) -> None:
        """In which mode were the calls that led to this update?"""
        held = {id(each) for group in optimizer.param_groups for each in group["params"]}
        for number, modes in self.modes.items():
            if not modes.pending or number not in hub.models:
                continue
            if not any(id(each) in held for each in hub.models[number].parameters()):
                continue
            training = any(modes.pending)
            modes.pending.clear()
            modes.train_steps += training
            modes.eval_steps += not training
            modes.eval_after_train += not training and modes.train_steps > 0
            if not training and modes.first_eval_step < 0:
                modes.first_eval_step = hub.step - 1
                modes.quieted = _quieted(hub.models[number])

    def _first(self, module: Any) -> _Modes:
        modes = self.modes[id(module)] = _Modes(type(module).__name__)
        for each in module.modules():
            modes.normalizing += _normalizes(each)
            if _drops(each):
                modes.dropping += 1
                modes.dropout = max(modes.dropout, float(each.p))
        return modes

    def found(self, hub: Any) -> Mapping[str, Any]:
        """By model."""
        del hub
        if not self.modes:
            raise NotImplementedError("no module with parameters was called")
        names = (
            "model", "dropout", "dropping", "normalizing", "train_steps", "eval_steps", "eval_after_train",
            "first_eval_step", "quieted", "quiet_train", "quiet_train_scored", "quiet_eval", "single",
        )  # fmt: skip
        return {
            "dropped_in_evaluation": self.dropped_in_evaluation,
            "drop_place": self.drop_place,
            "models": [{name: getattr(each, name) for name in names} for each in self.modes.values()],
        }


def _drops(module: Any) -> bool:
    return type(module).__name__.startswith(DROPPING) and getattr(module, "p", 0) > 0


def _normalizes(module: Any) -> bool:
    return type(module).__name__.startswith(NORMALIZING)


def _quieted(model: Any) -> int:
    """Layers that know the mode, in parts that train: a part that is frozen is put to rest on purpose."""
    return sum(
        _drops(each) or _normalizes(each)
        for part in model.modules()
        if any(parameter.requires_grad for parameter in part.parameters())
        for each in part.children()
    )


def _storage(value: Any) -> int:
    """Which memory a tensor, or the first one of an output, lies in."""
    if isinstance(value, list | tuple) and value:
        value = value[0]
    if isinstance(value, Mapping):
        value = value.get("logits", next(iter(value.values()), None))
    try:
        return int(value.untyped_storage().data_ptr())
    except (AttributeError, RuntimeError):
        return id(value)


def _rows(args: Any) -> int:
    first = next((each for each in args if hasattr(each, "shape") and bool(getattr(each, "ndim", 0))), None)
    return -1 if first is None else int(first.shape[0])

"""The hub: what the hooks saw goes to every observer that listens, and never disturbs the program.

Imports no torch by itself; whoever makes a hub has torch already.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from harness.observers import Observer
    from harness.watching.training import Training

EVENTS: Mapping[str, tuple[str, ...]] = {
    "optimizer_made": ("optimizer",),
    "stepping": ("optimizer", "late"),
    "stepped": ("optimizer",),
    "backward_begins": ("roots",),
    "backward_ended": ("roots",),
    "registered": ("module", "name", "parameter"),
    "placed": ("parent", "name", "module"),
    "converted": ("module",),
    "calling": ("module", "args", "depth"),
    "called": ("call",),
    "loss_computed": ("loss",),
    "clipping": ("parameters", "limit"),
    "scaled": ("scaler",),
    "unscaled": ("scaler", "optimizer"),
    "scheduler_made": ("scheduler", "optimizer"),
    "metric_given": ("scheduler", "metric"),
    "loader_started": ("iterator", "loader"),
    "batch_loaded": ("iterator", "batch"),
    "indices_drawn": ("iterator", "indices"),
    "split": ("part",),
    "switched": ("owner",),
    "state_loaded": ("module", "state", "result"),
    "state_used": ("owner", "state"),
    "saved": ("value",),
    "loaded": ("value",),
    "dropped": ("share", "training"),
    "subtracted": ("one", "other", "result"),
    "added": ("one", "other", "result"),
    "softened": ("values", "axis"),
    "attended": ("query", "key", "scale"),
    "exchanged": ("kind", "given", "result", "where"),
}
"""What hooks tell, and of what, after the hub; an observer listens to those that it has a method for."""


PATIENCE = 3
"""So often may a program catch what is to end it; then it is left without its consent."""


class StopTraining(BaseException):
    """Ends the program after the steps or minutes that were asked for; `except Exception` lets it pass."""


class Hub:
    """Tells observers what happens, and holds what several of them need.

    trainings: by optimizer, in the order of their first step. models: root modules that were called, by
    identity. roots: values of the losses that were backpropagated since the last update of any optimizer.
    latest: the training whose optimizer stepped last. spent: seconds that observation took. leave: ends the
    process of a program that will not end.
    """

    def __init__(self, observers: Mapping[str, "Observer"], *, steps: int = 0, deadline: float = 0.0) -> None:
        self.observers = dict(observers)
        self.steps, self.deadline = steps, deadline
        self.trainings: dict[int, Training] = {}
        self.optimizers: dict[int, torch.optim.Optimizer] = {}
        self.models: dict[int, torch.nn.Module] = {}
        self.roots: list[float] = []
        self.scale = 1.0
        self.latest: Training | None = None
        self.broken: dict[str, str] = {}
        self.stopped = ""
        self.refused = 0
        self.leave: Callable[[], None] = lambda: None
        self.spent = 0.0
        self.busy = False
        self._began = 0.0
        self.process = os.getpid()
        self._listeners: dict[str, list[tuple[str, Callable[..., None]]]] = {}
        self.listen()

    def listen(self) -> None:
        """Look up who listens to what."""
        self._listeners = {event: self._listening(event) for event in EVENTS}

    def _listening(self, event: str) -> "list[tuple[str, Callable[..., None]]]":
        return [
            (name, getattr(one, event))
            for name, one in self.observers.items()
            if callable(getattr(one, event, None))
        ]

    def tell(self, event: str, *facts: Any) -> None:
        """Call every observer that listens. One that breaks is put aside; the program goes on."""
        if self.busy or os.getpid() != self.process:
            return
        with self.quietly():
            for name, listener in self._listeners[event]:
                if name not in self.broken:
                    self._call(name, listener, facts)

    def _call(self, name: str, listener: Callable[..., None], facts: Sequence[Any]) -> None:
        try:
            listener(self, *facts)
        except Exception as error:  # noqa: BLE001 - an observer must not hurt what it looks at
            self.broken[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

    @contextmanager
    def quietly(self) -> "Iterator[None]":
        """What happens inside is ours: nobody is told of it, and its time is counted."""
        self._began, self.busy = time.perf_counter(), True
        try:
            yield
        finally:
            self.busy = False
            self.spent += time.perf_counter() - self._began

    @property
    def clock(self) -> float:
        """Seconds of a clock that stands still while we look."""
        return (self._began if self.busy else time.perf_counter()) - self.spent

    @property
    def step(self) -> int:
        """Updates so far of the optimizer that made the most of them."""
        return max((training.count for training in self.trainings.values()), default=0)

    @property
    def updates(self) -> int:
        """Updates so far, of all optimizers together."""
        return sum(training.count for training in self.trainings.values())

    def check_limits(self, optimizer: "torch.optim.Optimizer") -> None:
        """End the program before an update beyond its steps or its time.

        Before it: a program that makes just so many comes to its own end, and evaluates, saves and prints.

        Raises:
            StopTraining: it is time.
        """
        training = self.trainings.get(id(optimizer))
        if self.steps and training is not None and training.count >= self.steps:
            self._stop(f"stopped after {self.steps} steps, as asked")
        if self.deadline and self.updates and time.monotonic() >= self.deadline:
            self._stop("stopped after the minutes that were asked for")

    def _stop(self, why: str) -> None:
        self.stopped = why
        self.refused += 1
        if self.refused > PATIENCE:
            self.leave()
        raise StopTraining(why)

    def sampled(self, count: int, *, first: int = 12, every: int = 8) -> bool:
        """Whether the `count`-th of many like events is looked at closely."""
        return count < first or count % every == 0

    def name_of(self, parameter: Any) -> str:
        """A parameter's name in the models that were called, with the model's where there are several."""
        several = len(self.trained_models()) > 1
        found = [
            f"{type(model).__name__}.{name}" if several else name
            for model in self.models.values()
            for name, own in model.named_parameters()
            if own is parameter
        ]
        return max(found, key=lambda name: name.count("."), default="")  # within the whole, not a part of it

    def trained_models(self) -> "list[torch.nn.Module]":
        """Models of which some parameter is held by an optimizer that stepped."""
        held = {id(each) for training in self.trainings.values() for each in training.parameters}
        return [m for m in self.models.values() if any(id(each) in held for each in m.parameters())]

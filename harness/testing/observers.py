"""The contract of an observer."""

import hashlib
import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.codec import read_facts, write_facts
from harness.discover import Kind, get, working
from harness.model import Answer, Facts, Outcome
from harness.testing.checks import HEAVY
from harness.testing.contract import Contract
from harness.watching.hub import EVENTS

if TYPE_CHECKING:
    from harness.watching.hub import Hub

STEPS = 8


class ObserverContract(Contract):
    """An observer listens to events that exist, disturbs nothing, and leaves what can be recorded."""

    kind: ClassVar[Kind] = "observers"

    def test_it_listens_to_events_that_exist(self, plugin: str) -> None:
        """Every public method is an event's, and takes the hub and what that event tells."""
        cls = self.load(plugin)
        listened = _methods(cls)
        assert listened, f"{plugin}: listens to nothing"
        for name, method in listened.items():
            assert name in EVENTS, f"{plugin}: no hook tells of '{name}'; expected one of {', '.join(EVENTS)}"
            given = [object()] * (2 + len(EVENTS[name]))
            try:
                inspect.signature(method).bind(*given)
            except TypeError as error:
                message = f"{plugin}.{name}: expected the hub, {', '.join(EVENTS[name])}: {error}"
                raise AssertionError(message) from error

    def test_it_is_made_without_arguments(self, plugin: str) -> None:
        """Each program gets its own, and two of them share nothing."""
        cls = self.load(plugin)
        one, other = cls(), cls()
        assert one.name == plugin
        shared = [
            name
            for name, value in vars(one).items()
            if isinstance(value, list | dict | set) and vars(other)[name] is value
        ]
        assert not shared, f"{plugin}: {', '.join(shared)} is the same for all programs"

    def test_it_says_when_there_was_nothing(self, plugin: str) -> None:
        """Of a program that did nothing: facts, or NotImplementedError with the reason."""
        reason = ""
        try:
            _through_a_file(plugin, self.load(plugin)().found(_hub()))
        except NotImplementedError as error:
            reason = str(error) or "none"
        assert reason != "none", f"{plugin}: saw nothing, and does not say what was missing"

    def test_what_it_found_can_be_recorded(self, plugin: str) -> None:
        """Numbers and short texts by name, which come back from a file as they were."""
        hub = _hub(self.load(plugin)())
        _train(hub)
        assert not hub.broken, f"{plugin}: {hub.broken}"
        facts = _found(hub, plugin)
        assert facts, f"{plugin}: found nothing in a training with everything in it"
        assert json.dumps(_through_a_file(plugin, facts)) == json.dumps(facts)

    def test_it_changes_no_bit(self, plugin: str) -> None:
        """Weights, gradients and random numbers are those of a training that nobody looks at."""
        alone = _train(_hub())
        hub = _hub(self.load(plugin)())
        assert _train(hub) == alone, f"{plugin}: changes what the program computes"
        _ask(hub, plugin)

    def test_importing_observers_loads_no_framework(self) -> None:
        """`harness list` imports them all, and must stay quick."""
        names = self.names or tuple(working(self.kind))
        modules = sorted(get(self.kind, name).__module__ for name in names)
        code = f"import sys, {', '.join(modules)}; print(*(set({HEAVY}) & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
        assert not done.stdout.split(), f"importing the observers loads {done.stdout.strip()}"


def _methods(cls: type) -> dict[str, Any]:
    return {
        name: method
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") and name != "found"
    }


def _hub(*observers: Any) -> "Hub":
    from harness.watching.hub import Hub  # noqa: PLC0415 - beside what brings torch
    from harness.watching.keeper import Keeper  # noqa: PLC0415 - brings torch

    keeper: Any = Keeper()
    return Hub({"keeper": keeper, **{one.name: one for one in observers}})


def _found(hub: "Hub", plugin: str) -> dict[str, Any]:
    """What an observer found in the training; one that needs what is not in it is left out, and says why."""
    import pytest  # noqa: PLC0415 - only where tests run

    try:
        return dict(hub.observers[plugin].found(hub))
    except NotImplementedError as reason:
        return pytest.skip(f"{plugin}: {reason}")


def _ask(hub: "Hub", plugin: str) -> None:
    """Whatever it asks at the end, the generator of the program is where it was."""
    import torch  # noqa: PLC0415 - only where torch runs

    before = torch.get_rng_state()
    _found(hub, plugin)
    assert torch.equal(torch.get_rng_state(), before), f"{plugin}: draws random numbers"


def _through_a_file(plugin: str, facts: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "facts"
        write_facts(path, Facts(outcome=Outcome.COMPLETED, answers={plugin: Answer(facts=facts)}))
        return dict(read_facts(path).answers[plugin].facts)


def _train(hub: "Hub") -> str:
    """A training with everything in it, told as hooks would tell it; a checksum of what it computes."""
    import torch  # noqa: PLC0415 - only where torch runs

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        hub.tell("optimizer_made", optimizer)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
        hub.tell("scheduler_made", schedule, optimizer)
        hub.tell("attended", torch.ones(2, 32, 8), torch.ones(2, 32, 8), 8**-0.5)
        for batch in _loaded(hub):
            _step(hub, model, optimizer, *batch)
            schedule.step()
        _evaluate(hub, model)
        _checkpoint(hub, model, optimizer)
        return _checksum(model)


def _model() -> Any:
    from torch import nn  # noqa: PLC0415 - only where torch runs

    return nn.Sequential(
        nn.Embedding(12, 8, padding_idx=0), nn.Flatten(), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1),
        nn.Linear(32, 3),
    )  # fmt: skip


def _loaded(hub: "Hub") -> Any:
    import torch  # noqa: PLC0415 - only where torch runs

    data = torch.utils.data.TensorDataset(torch.randint(12, (8 * STEPS, 4)), torch.randint(3, (8 * STEPS,)))
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    batches = iter(loader)
    hub.tell("loader_started", batches, loader)
    for batch in batches:
        hub.tell("batch_loaded", batches, batch)
        yield batch


def _step(hub: "Hub", model: Any, optimizer: Any, inputs: Any, labels: Any) -> None:
    import torch  # noqa: PLC0415 - only where torch runs

    from harness.watching.events import Loss  # noqa: PLC0415 - beside what brings torch

    output = _called(hub, model, inputs)
    hub.tell("softened", output, 1)
    loss = torch.nn.functional.cross_entropy(output, labels)
    hub.tell("loss_computed", Loss("cross_entropy", output, labels, loss, {}))
    optimizer.zero_grad()
    hub.tell("backward_begins", [loss])
    loss.backward()
    hub.tell("backward_ended", [loss])
    hub.tell("clipping", list(model.parameters()), 1.0)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    hub.tell("stepping", optimizer, False)
    optimizer.step()
    hub.tell("stepped", optimizer)


def _called(hub: "Hub", model: Any, inputs: Any) -> Any:
    """A call of a model and of its layers, from the outside in."""
    from harness.watching.events import Call  # noqa: PLC0415 - beside what brings torch

    hub.tell("calling", model, (inputs,), 0)
    values = inputs
    for layer in model:
        given = values
        hub.tell("calling", layer, (given,), 1)
        values = layer(given)
        hub.tell("called", Call(layer, (given,), {}, values, 1))
    hub.tell("called", Call(model, (inputs,), {}, values, 0))
    return values


def _evaluate(hub: "Hub", model: Any) -> None:
    import torch  # noqa: PLC0415 - only where torch runs

    model.eval()
    with torch.no_grad():
        _called(hub, model, torch.randint(12, (8, 4)))
    model.train()


def _checkpoint(hub: "Hub", model: Any, optimizer: Any) -> None:
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    hub.tell("saved", saved)
    hub.tell("loaded", saved)
    hub.tell("state_loaded", model, saved["model"], model.load_state_dict(saved["model"]))
    optimizer.load_state_dict(saved["optimizer"])
    hub.tell("state_used", optimizer, saved["optimizer"])


def _checksum(model: Any) -> str:
    import torch  # noqa: PLC0415 - only where torch runs

    found = hashlib.sha256(torch.get_rng_state().numpy().tobytes())
    for each in model.parameters():
        found.update(each.detach().numpy().tobytes())
        found.update(each.grad.numpy().tobytes())
    return found.hexdigest()

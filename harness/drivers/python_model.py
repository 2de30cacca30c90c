"""Trains what a function of the user's returns: model, batches, loss, optimizer.

FILE is JSON: python (`file.py:build`), arguments, steps, seed.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from harness.model import HarnessError
from harness.watching.named import function_of

EXPECTED = "expected (model, batches, loss, optimizer)"


def main(path: str) -> None:
    """Build, and train for so many steps."""
    told = json.loads(Path(path).read_text())
    torch.manual_seed(told["seed"])
    model, batches, loss, optimizer = _built(told["python"], told["arguments"])
    for batch in _each(batches, told["steps"]):
        optimizer.zero_grad()
        _scalar(loss(model, batch)).backward()
        optimizer.step()


def _built(named: str, arguments: Mapping[str, Any]) -> tuple[torch.nn.Module, Any, Callable[..., Any], Any]:
    try:
        build = function_of(named)
    except ValueError as error:
        raise HarnessError(f"model.python: {error}") from error
    made = build(**arguments)
    if not isinstance(made, tuple | list) or len(made) != 4:
        raise HarnessError(f"model.python: {build.__name__} returned {_kind(made)}; {EXPECTED}")
    model, batches, loss, optimizer = made
    fits = {
        "model": (model, isinstance(model, torch.nn.Module)),
        "loss": (loss, callable(loss)),
        "optimizer": (optimizer, isinstance(optimizer, torch.optim.Optimizer)),
    }
    for what, (part, good) in fits.items():
        if not good:
            raise HarnessError(f"model.python: {build.__name__} returned {_kind(part)} as {what}; {EXPECTED}")
    return model, batches, loss, optimizer


def _kind(value: object) -> str:
    size = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return f"{type(value).__name__}{size}"


def _each(batches: Any, steps: int) -> Iterator[Any]:
    """So many batches: of a callable, or of an iterable that begins again when it ends."""
    if callable(batches):
        yield from map(batches, range(steps))
        return
    waiting: Iterator[Any] = iter(())
    for step in range(steps):
        found = next(waiting, None)
        if found is None:
            waiting = iter(batches)
            found = next(waiting, None)
        if found is None:
            ended = f"batches end after {step} of {steps} steps"
            raise HarnessError(
                f"model.python: {ended} and do not begin again; expected an iterable or a callable"
            )
        yield found


def _scalar(loss: Any) -> torch.Tensor:
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        shape = tuple(loss.shape) if isinstance(loss, torch.Tensor) else _kind(loss)
        raise HarnessError(f"model.python: loss returned {shape}; expected a scalar tensor")
    return loss


if __name__ == "__main__":
    main(sys.argv[1])

"""Optimizers that ask for the loss several times an update: is it the same question each time?"""

from collections.abc import Mapping
from typing import Any

from harness.observers import Observer
from harness.watching.events import Call

CLOSELY = 64
"""Updates that are looked at."""
MOST_ELEMENTS = 1 << 20


class Closures(Observer):
    """Takes a sum of what models are given for each evaluation within an update."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.late = False
        self.given: list[tuple[Any, ...]] = []
        self.asked: list[tuple[tuple[Any, ...], ...]] = []
        self.updates = self.several = self.changed = 0

    def stepping(self, hub: Any, optimizer: Any, late: bool) -> None:
        """An update that asks for itself begins."""
        del hub, optimizer
        self.late = late and self.updates < CLOSELY
        self.given.clear()
        self.asked.clear()

    def called(self, hub: Any, call: Call) -> None:
        """What a model is given."""
        import torch  # noqa: PLC0415 - only where torch runs

        from harness.watching.tensors import first_tensor  # noqa: PLC0415 - brings torch

        if not self.late or call.depth or id(call.module) not in hub.models:
            return
        first = first_tensor(call.args) if call.args else first_tensor(call.kwargs)
        if first is not None and 0 < first.numel() <= MOST_ELEMENTS:
            values = first.detach().double().reshape(-1)
            weights = torch.arange(1, values.numel() + 1, dtype=values.dtype, device=values.device)
            self.given.append((id(call.module), tuple(first.shape), float(values @ weights)))

    def backward_begins(self, hub: Any, roots: Any) -> None:
        """One evaluation is complete."""
        del hub, roots
        if self.late and self.given:
            self.asked.append(tuple(self.given))
            self.given.clear()

    def stepped(self, hub: Any, optimizer: Any) -> None:
        """Was the same asked each time?"""
        del hub, optimizer
        if self.late:
            self.updates += 1
            self.several += len(self.asked) > 1
            self.changed += len(set(self.asked)) > 1
        self.late = False

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Of updates with several evaluations, how many asked for other losses on the way."""
        del hub
        if not self.several:
            raise NotImplementedError("no optimizer asks for its loss several times an update")
        return {"updates": self.updates, "several": self.several, "changed": self.changed}

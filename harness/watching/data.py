"""Hooks in what feeds a training: loaders, data sets that are split, and what is switched in them."""

from typing import Any

from harness.watching.changes import Changes
from harness.watching.hub import Hub
from harness.watching.wrapping import after


def loaders(hub: Hub, changes: Changes) -> None:
    """Passes of every kind of `DataLoader`, what its sampler draws, and what it gives."""
    from torch.utils.data import dataloader  # noqa: PLC0415 - a program may do without

    base = dataloader._BaseDataLoaderIter  # noqa: SLF001 - what every kind of pass is made of
    after(
        changes, base, "__init__", lambda _, self, loader, *_a, **_k: hub.tell("loader_started", self, loader)
    )
    after(changes, base, "__next__", lambda batch, self: hub.tell("batch_loaded", self, batch))
    after(changes, base, "_next_index", lambda drawn, self: hub.tell("indices_drawn", self, drawn))


def splits(hub: Hub, changes: Changes) -> None:
    """Parts of a data set; `random_split` makes them, too."""
    from torch.utils.data import Subset  # noqa: PLC0415 - as above

    after(changes, Subset, "__init__", lambda _, self, *_a, **_k: hub.tell("split", self))


def switches(hub: Hub, changes: Changes) -> None:
    """A data set gets something that can be called, or can be on or off, from whoever holds it."""
    from torch.utils.data import Dataset  # noqa: PLC0415 - as above

    def switch(self: Any, name: str, value: Any) -> None:
        super(Dataset, self).__setattr__(name, value)
        if value is None or isinstance(value, bool) or callable(value):
            hub.tell("switched", self)

    changes.put(Dataset, "__setattr__", switch)

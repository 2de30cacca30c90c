"""One thing to look at while a PyTorch program runs, a file. What it saw is an answer among the facts.

An observer has a method for each event of `harness.watching.hub.EVENTS` that it listens to; each is given the
hub first. It never writes to a tensor, never draws a random number, and keeps numbers rather than tensors.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.watching.hub import Hub


class Observer:
    """Base of all observers. Importing its file loads no framework."""

    @property
    def name(self) -> str:
        """The observer's name: that of its file, and of its answer."""
        return type(self).__module__.rpartition(".")[2]

    def found(self, hub: "Hub") -> Mapping[str, Any]:
        """What it saw, as numbers and short texts by name, once the program has ended.

        Raises:
            NotImplementedError: there was nothing to look at; its text says what.
        """
        raise NotImplementedError


Base = Observer

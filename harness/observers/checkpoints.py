"""Checkpoints that are read: does anything of them arrive, and does the optimizer get its own back?"""

from collections.abc import Mapping
from typing import Any

from harness.observers import Observer
from harness.watching.places import place


class Checkpoints(Observer):
    """Looks at every `load_state_dict` of a module, and at what is saved."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.loads: list[dict[str, Any]] = []
        self.saves = 0

    def saved(self, hub: Any, value: Any) -> None:
        """A file was written."""
        del hub, value
        self.saves += 1

    def state_loaded(self, hub: Any, module: Any, state: Any, result: Any) -> None:
        """Weights were read."""
        missing, unexpected = list(result.missing_keys), list(result.unexpected_keys)
        own = len(module.state_dict())
        if len(self.loads) < 100:
            self.loads.append(
                {
                    "model": type(module).__name__, "where": place(), "tensors": own, "missing": len(missing),
                    "unexpected": len(unexpected), "given": len(state), "step": hub.step,
                    "first_missing": missing[:1], "first_unexpected": unexpected[:1],
                }
            )  # fmt: skip

    def found(self, hub: Any) -> Mapping[str, Any]:
        """All loads."""
        del hub
        if not self.loads and not self.saves:
            raise NotImplementedError("the program reads and writes no checkpoint")
        return {"saves": self.saves, "loads": self.loads}

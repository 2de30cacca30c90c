"""A copy of a model in a number format that is too coarse for it: which of its elements keep their bits?"""

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

MOST = 1 << 16
"""Elements of a model that are looked at, evenly spread."""
CLEAR = 4
"""So many spacings of its numbers is an element clearly apart from where it should be."""
COARSE = ("torch.bfloat16", "torch.float16")


def coarse(model: Any) -> bool:
    """Whether all weights are in a format of sixteen bits, and have values at all."""
    kinds = {"" if each.is_meta else str(each.dtype) for each in model.parameters()}
    return len(kinds) == 1 and kinds <= set(COARSE)


class Watched:
    """A model in a coarse format, from when it was first seen.

    moves: updates looked at that changed it. elements, apart, kept, of these updates: all;
    those clearly apart from the source; and of these, those that kept their bits.
    """

    def __init__(self, model: Any, step: int) -> None:
        """Remember its elements."""
        self.model = weakref.ref(model)
        self.latest = elements(model)
        self.step = self.looked = step
        self.moves = 0
        self.elements = self.apart = self.kept = 0

    def look(self, source: Any, step: int) -> None:
        """Did it change by the latest update, and what of it did not?"""
        model = self.model()
        if model is None or coarse(source):
            return
        last, self.looked, before = self.looked, step, self.latest
        self.latest, wanted = elements(model), elements(source)
        same_form = self.latest.shape == before.shape == wanted.shape
        if same_form and step == last + 1 and (self.latest != before).any():
            self._count(model, wanted, self.latest == before)

    def _count(self, model: Any, wanted: Any, same: Any) -> None:
        import torch  # noqa: PLC0415 - only where torch runs

        spacing = torch.finfo(next(model.parameters()).dtype).eps * np.abs(self.latest)
        apart = np.abs(wanted - self.latest) > CLEAR * spacing
        self.moves += 1
        self.elements += len(apart)
        self.apart += int(apart.sum())
        self.kept += int((apart & same).sum())

    def told(self, step: int) -> Mapping[str, Any]:
        """The same in shares."""
        model = self.model()
        return {
            "format": "" if model is None else str(next(model.parameters()).dtype).removeprefix("torch."),
            "watched": step - self.step,
            "moves": self.moves,
            "apart": self.apart / max(1, self.elements),
            "kept": self.kept / max(1, self.apart),
        }


def elements(model: Any) -> Any:
    """Some of its weights, always the same ones."""
    weights = [each.detach().reshape(-1) for each in model.parameters()]
    every = max(1, sum(each.numel() for each in weights) // MOST)
    parts = [each[::every].float().cpu().numpy().copy() for each in weights]
    return np.concatenate(parts) if parts else np.zeros(0)

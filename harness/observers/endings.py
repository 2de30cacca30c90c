"""The token that rows of text end with: is it asked for, or left out with the padding that is the same?"""

from collections.abc import Mapping
from typing import Any

from harness.observers import Observer
from harness.observers._given import counted_target
from harness.watching.events import Call, Loss
from harness.watching.places import place

CLOSELY = 60
"""Calls that are looked at."""
MOST_TOKENS = 1 << 20


class Endings(Observer):
    """Compares tokens, the mask of padding and targets of models that predict their own tokens."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.looked = self.rows = self.left_out = self.asked = 0
        self.tokens: set[int] = set()
        self.where = ""
        self.last: Any = None

    def calling(self, hub: Any, module: Any, args: Any, depth: int) -> None:
        """What was given before belongs to another loss."""
        del hub, module, args
        if not depth:
            self.last = None

    def called(self, hub: Any, call: Call) -> None:
        """Tokens with a mask, and with labels where the model calculates the loss itself."""
        import torch  # noqa: PLC0415 - only where torch runs

        from harness.watching.tensors import is_mask, is_tokens  # noqa: PLC0415 - brings torch

        if call.depth or id(call.module) not in hub.models or not torch.is_grad_enabled():
            return
        given = [each for each in call.given if isinstance(each, torch.Tensor)]
        ids = next((each for each in given if is_tokens(each)), None)
        if ids is None or self.looked >= CLOSELY or ids.numel() > MOST_TOKENS:
            return
        mask = next(
            (each for each in given if each is not ids and is_mask(each, ids) and each.dim() == 2), None
        )
        labels = call.kwargs.get("labels")
        if mask is None:
            return
        if isinstance(labels, torch.Tensor) and labels.shape == ids.shape:
            self._look(ids, mask, labels)
        else:
            self.last = (ids, mask)

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """The targets of these tokens: each its own place's, or the next one's."""
        import torch  # noqa: PLC0415 - only where torch runs

        del hub
        (ids, mask), self.last = self.last or (None, None), None
        if ids is None or loss.kind not in ("cross_entropy", "nll_loss") or loss.target.is_floating_point():
            return
        target = counted_target(loss)
        if not loss.predicted.requires_grad or target.numel() % len(ids):
            return
        rows, width = target.reshape(len(ids), -1), ids.shape[1]
        if rows.shape[1] == width - 1:  # of the next token
            left_out = torch.full_like(rows[:, :1], -100)
            self._look(ids, mask, torch.cat([left_out, rows], 1))
        elif rows.shape[1] == width:
            left_out = torch.full_like(rows[:, :1], -100)
            shifted = torch.cat([left_out, rows[:, :-1]], 1)
            self._look(ids, mask, rows if _told(ids, rows) > _told(ids, shifted) else shifted)

    def _look(self, ids: Any, mask: Any, labels: Any) -> None:
        """Is the last attended token of a row padding, and left out where the one before is asked for?"""
        import torch  # noqa: PLC0415 - only where torch runs

        with torch.no_grad():
            attended, counted = mask != 0, labels >= 0
            padding = ids[~attended]
            token = int(padding[0])
            if not bool((padding == token).all()) or _told(ids, labels) < 0.99:
                return
            self.looked += 1
            self.where = self.where or place()
            self.tokens.add(token)
            self.asked += int((counted & (ids == token)).sum())
            last = ids.shape[1] - 1 - attended.flip(1).long().argmax(1)
            line = torch.arange(len(ids), device=ids.device)
            before = (last - 1).clamp_min(0)
            known = attended[line, last] & attended[line, before] & (last > 0) & counted[line, before]
            self.rows += int(known.sum())
            self.left_out += int((known & (ids[line, last] == token) & ~counted[line, last]).sum())

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Rows of which the last token but one is asked for; in how many the last is padding and left out."""
        del hub
        if not self.looked:
            raise NotImplementedError("no model that predicts its tokens is given a mask of padding")
        return {
            "rows": self.rows, "left_out": self.left_out, "asked": self.asked, "tokens": len(self.tokens),
            "token": min(self.tokens), "where": self.where,
        }  # fmt: skip


def _told(ids: Any, labels: Any) -> float:
    """The share of the targets that are the tokens of their place."""
    counted = labels >= 0
    return float((labels == ids)[counted].float().mean()) if bool(counted.any()) else 0.0

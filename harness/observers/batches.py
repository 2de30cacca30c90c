"""Which samples are trained on: always the same, each one several times, those of the evaluation as well?"""

import math
import weakref
from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness.observers import Observer
from harness.watching.events import Call, Loss

MOST_SAMPLES = 200_000
MOST_BATCHES = 400
LEAST_ROWS = 8
FEW, SOME = 8, 64
MANY = 1e9
"""Different rows that are possible, at least."""
MOST_BYTES = 8 << 20
MOST_ROWS = 4096
"""Rows that are kept, with their targets, to look for the answer among the inputs."""


class Batches(Observer):
    """Takes a checksum of every sample that a trained model is called with."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.batches: Counter[int] = Counter()
        self.samples: Counter[int] = Counter()
        self.evaluated: list[list[int]] = []
        self.known: list[float] = []
        self.previous: tuple[int, set[tuple[int, ...]]] = (-1, set())
        self.redrawn = 0
        self.steps = self.whole = 0
        self.evaluations = 0
        self.view_share = 1.0
        self.rows: list[Any] = []
        self.targets: list[Any] = []
        self.waiting: list[tuple[bool, Any]] = []
        self.latest: Any = None
        self.cut_anew = 0
        self.views: list[tuple[int, Any]] = []
        self.doubled = self.backwards = 0
        self.asides: set[int] = set()
        self.before: Any = lambda: None

    def called(self, hub: Any, call: Call) -> None:
        """One call of a model."""
        import torch  # noqa: PLC0415 - only where torch runs

        if call.depth or id(call.module) not in hub.models:
            return
        given = [each for each in call.given if isinstance(each, torch.Tensor)]
        if not given or given[0].dim() < 1 or given[0].requires_grad or given[0].numel() * 8 > MOST_BYTES:
            return
        if not torch.is_grad_enabled():
            # A teacher or a reference sees what is trained on, and rightly so.
            held = {id(each) for each in hub.latest.parameters} if hub.latest else set()
            if any(id(each) in held for each in call.module.parameters()):
                self._evaluated(hub, call.module, given)
        elif len(self.samples) < MOST_SAMPLES:
            self._trained(given)
            self._view(call)

    def _view(self, call: Call) -> None:
        """Is this the very output that the model gave before, for the same samples, for the same loss?"""
        import torch  # noqa: PLC0415 - only where torch runs

        if not isinstance(call.output, torch.Tensor) or not call.output.requires_grad:
            return
        for module, output in self.views:
            if module == id(call.module) and output.shape == call.output.shape:
                self.doubled += torch.equal(output.detach(), call.output.detach())
                break
        self.views = [*self.views[-3:], (id(call.module), call.output)]

    def backward_begins(self, hub: Any, roots: Any) -> None:
        """What comes next belongs to another loss."""
        del hub, roots
        self.backwards += 1
        self.views.clear()

    def _evaluated(self, hub: Any, module: Any, given: list[Any]) -> None:
        if module.training and _knows_modes(module):
            return
        if module.training:
            self.asides.add(hub.updates)
        if len(self.evaluated) >= MOST_BATCHES:
            return
        values, hashes = given[0], _hashes(given)
        if self.previous[0] != hub.updates:
            self.previous = (hub.updates, set())
        self.redrawn += tuple(hashes) in self.previous[1]
        self.previous[1].add(tuple(hashes))
        self.evaluations += 1
        # Of whole numbers, or of few different ones, rows may be alike by chance.
        if len(hashes) >= LEAST_ROWS and _rich(values):
            self.whole += not values.is_floating_point()
            self.evaluated.append(hashes)
            # Who evaluates first and trains afterwards, as on a stream, evaluates on what is new.
            self.known.append(sum(each in self.samples for each in hashes) / len(hashes))

    def _trained(self, given: list[Any]) -> None:
        values, hashes = given[0], _hashes(given)
        self.steps += 1
        self.cut_anew += self.before() is not values
        self.before = weakref.ref(values)
        self.batches[hash(tuple(hashes))] += 1
        self.samples.update(hashes)
        try:
            size = values.untyped_storage().nbytes()
            self.view_share = min(self.view_share, values.numel() * values.element_size() / max(1, size))
        except RuntimeError:
            pass
        self.latest = values

    def loss_computed(self, hub: Any, loss: Loss) -> None:
        """The answers that belong to the latest inputs."""
        import torch  # noqa: PLC0415 - only where torch runs

        del hub
        values, self.latest = self.latest, None
        if values is None or not torch.is_grad_enabled() or not loss.predicted.requires_grad:
            return
        one_each = loss.target.dim() and loss.target.numel() == len(values) == len(loss.target)
        table = values.dim() == 2 and values.is_floating_point()
        if one_each and table and sum(len(each) for each in self.rows) < MOST_ROWS:
            self.rows.append(values.detach().cpu().double().numpy().copy())
            self.targets.append(loss.target.detach().reshape(-1).cpu().double().numpy().copy())

    def found(self, hub: Any) -> Mapping[str, Any]:
        """Counts of samples and batches."""
        if not self.steps:
            raise NotImplementedError("no model was called with a tensor of samples first")
        shares = [sum(each in self.samples for each in rows) / len(rows) for rows in self.evaluated]
        pairs = zip(shares, self.known, strict=True)
        mixed = [share for share, known in pairs if 0.02 < share < 0.98 and known > 0.02]
        # A model that is asked at nearly every step is asked for its training.
        asked = hub.updates > 0 and len(self.asides) > 0.3 * hub.updates
        seen = self.samples.values()
        return {
            "steps": self.steps,
            "different_batches": len(self.batches),
            "samples": len(self.samples),
            "drawn": sum(seen),
            "evaluations": self.evaluations,
            "redrawn": self.redrawn,
            "evaluated_batches": len(shares),
            "mixed_batches": len(mixed),
            "mixed_share": sum(mixed) / len(mixed) if mixed else 0.0,
            "trained_share": float(sum(self.known) / len(self.known)) if shares else 0.0,
            "cut_anew": self.cut_anew,
            "asked_in_training": asked,
            "doubled": self.doubled,
            "backwards": self.backwards,
            "twins": self._twins() if self.whole else 0.0,
            "view_share": self.view_share,
            **self._answers(),
        }

    def _twins(self) -> float:
        """The share of samples that come more often than others: some are alike by chance."""
        counts = sorted(self.samples.values())
        usual = counts[len(counts) // 10] if counts else 1
        return sum(each for each in counts if each > 1.7 * usual) / max(1, sum(counts))

    def _answers(self) -> dict[str, Any]:
        """The column of the inputs that follows the target most closely, by correlation."""
        import numpy as np  # noqa: PLC0415 - light, but only here

        if not self.rows or len({each.shape[1] for each in self.rows}) > 1:
            return {}
        rows, targets = np.concatenate(self.rows), np.concatenate(self.targets)
        if len(rows) < 32 or targets.std() == 0:
            return {}
        spread = rows.std(0)
        usable = spread > 0
        if not usable.any():
            return {"constant_inputs": True}
        centred = (rows - rows.mean(0))[:, usable] / spread[usable]
        correlation = np.abs((centred * ((targets - targets.mean()) / targets.std())[:, None]).mean(0))
        return {
            "answer_correlation": float(correlation.max()),
            "answer_column": int(np.flatnonzero(usable)[int(correlation.argmax())]),
            "input_columns": int(rows.shape[1]),
            "target_values": len(np.unique(targets)),
            "rows_compared": len(rows),
        }


def _rich(values: Any) -> bool:
    """Whether rows are hardly alike by chance: many numbers, or rows that are long for their few values."""
    different = int(values.unique().numel())
    few = different <= min(SOME, values.numel() // 2)  # of values on a grid, each comes again and again
    if different <= FEW or not few or not values.is_floating_point():
        return different > FEW
    return bool(values.numel() // max(1, len(values)) * math.log(different) > math.log(MANY))


def _knows_modes(module: Any) -> bool:
    """Whether any of its layers does something else in training than in evaluation."""
    names = (type(each).__name__ for each in module.modules())
    return any(each.startswith(("Dropout", "BatchNorm", "SyncBatchNorm", "AlphaDropout")) for each in names)


def _hashes(given: list[Any]) -> list[int]:
    """A checksum of each sample, from the bytes of its row in every tensor that has as many rows."""
    alike = [each for each in given[:4] if each.dim() and len(each) == len(given[0])]
    each_own = [_row_hashes(each) for each in alike if each.numel() * 8 <= MOST_BYTES]
    return [hash(rows) for rows in zip(*each_own, strict=True)] if len(each_own) > 1 else each_own[0]


def _row_hashes(values: Any) -> list[int]:
    """A checksum of each row."""
    rows = values.detach().cpu().contiguous()
    if str(rows.dtype) == "torch.bfloat16":
        rows = rows.float()
    array = rows.reshape(len(rows), -1).numpy()
    return [hash(row.tobytes()) for row in array]

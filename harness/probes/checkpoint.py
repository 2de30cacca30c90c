"""How large is a checkpoint, and does saving and loading give every weight back to the last bit?"""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.model import Array
from harness.probes import Context, Probe
from harness.probes._story import Notes, copied, opened, wide
from harness.trainer import Trainer

STEPS = 2
"""Steps before the weights are saved, so that they are no longer the starting ones."""
AWAY = 1.0
"""What the loading trainer's weights differ by beforehand, so that a tensor that is not loaded shows."""


class Checkpoint(Probe):
    """Saves a training, loads it into a fresh trainer that holds other weights, and compares."""

    def ask(self, context: Context) -> Mapping[str, Any]:
        """What came back.

        bytes: on disk. difference: the largest absolute one, of any weight. lost: tensors that still hold
        the other weights. seconds: of saving and loading. error: what loading said, empty when it went
        well.
        """
        path = context.scratch / "checkpoint"
        try:
            with opened(context.build()) as trainer:
                Notes(trainer).train(context.problem.batches[:STEPS])
                saved = copied(trainer.parameters())
                start = time.perf_counter()
                trainer.save(path)
                seconds = time.perf_counter() - start
            with opened(context.build()) as trainer:
                return {"bytes": _size(path), **_loaded(trainer, path, saved, seconds)}
        finally:
            _remove(path)


def _loaded(trainer: Trainer, path: Path, saved: Mapping[str, Array], seconds: float) -> dict[str, Any]:
    trainer.load({name: values + np.asarray(AWAY, values.dtype) for name, values in saved.items()})
    others = copied(trainer.parameters())
    start = time.perf_counter()
    error = _open(trainer, path)
    found = trainer.parameters()
    return {
        "difference": float(np.max([_apart(found[name], saved[name]) for name in saved], initial=0.0)),
        "lost": [name for name in saved if saved[name].size and _apart(found[name], others[name]) == 0],
        "error": error,
        "seconds": seconds + time.perf_counter() - start,
    }


def _open(trainer: Trainer, path: Path) -> str:
    """What went wrong, in one line: a checkpoint that cannot be loaded is an answer, and no broken probe."""
    try:
        trainer.open(path)
    except NotImplementedError:
        raise
    except Exception as error:  # noqa: BLE001 - every loader has errors of its own
        return " ".join(f"{type(error).__name__}: {error}".split()).replace(str(path), "the checkpoint")
    return ""


def _apart(ours: Array, theirs: Array) -> float:
    return float(np.max(np.abs(wide(ours) - wide(theirs)), initial=0.0))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

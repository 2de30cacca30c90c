"""What a data set stores: its tensors and arrays, marks that tell when one is written to, and its rows."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

MOST_HELD = 64
MOST_BYTES = 8 << 20
"""Of larger arrays only the rows are compared that are fetched."""
SHORT = 16
LEAST_ROW = 8
"""Elements of a row that is no counter."""
SHOWN = 256
SUMMED = 1 << 16
"""Elements of a tensor that are looked at too: NumPy may write to its memory, and torch does not count it."""


def inner_rows(data: Any, rows: list[int]) -> tuple[Any, list[int]]:
    """The data set within subsets, and the places there of these samples."""
    for _ in range(4):
        inner, chosen = getattr(data, "dataset", None), getattr(data, "indices", None)
        if inner is None or chosen is None or not hasattr(chosen, "__getitem__"):
            break
        data, rows = inner, [int(chosen[each]) for each in rows if each < len(chosen)]
    return data, rows


def held_by(data: Any, rows: list[int]) -> list[Any]:
    """Tensors and arrays that it stores, also within lists of one for each sample, for these samples."""
    found: dict[int, Any] = {}
    _gather(data, rows, found, 0)
    return list(found.values())[:MOST_HELD]


def _gather(value: Any, rows: list[int], found: dict[int, Any], depth: int) -> None:
    import torch  # noqa: PLC0415 - only where torch runs

    if depth > 4 or len(found) >= MOST_HELD or isinstance(value, torch.nn.Module):
        return
    if isinstance(value, torch.Tensor | np.ndarray):
        if _watchable(value):
            found[id(value)] = value
    elif isinstance(value, Mapping) and type(value) is dict and len(value) <= MOST_HELD:
        _gather_all(list(value.values()), rows, found, depth)
    elif isinstance(value, list | tuple):
        few = (
            value
            if len(value) <= SHORT
            else [value[each] for each in rows[:MOST_HELD] if 0 <= each < len(value)]
        )
        _gather_all(few, rows, found, depth)
    elif isinstance(getattr(value, "__dict__", None), dict) and (depth == 0 or _is_data(value)):
        _gather_all(list(vars(value).values()), rows, found, depth)


def _gather_all(values: Any, rows: list[int], found: dict[int, Any], depth: int) -> None:
    for each in values:
        _gather(each, rows, found, depth + 1)


def _is_data(value: Any) -> bool:
    import torch  # noqa: PLC0415 - only where torch runs

    return isinstance(value, torch.utils.data.Dataset)


def _watchable(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiu" and value.size >= LEAST_ROW
    return value.numel() >= LEAST_ROW and not value.requires_grad and value.layout is _strided()


def _strided() -> Any:
    import torch  # noqa: PLC0415 - only where torch runs

    return torch.strided


def marks(held: list[Any]) -> list[Any]:
    """By tensor how often it was written to, by array a checksum: another one after it was written to."""
    return [_mark(each) for each in held]


def _mark(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        try:
            version = value._version  # noqa: SLF001 - torch has no other name for it
        except RuntimeError:  # one that was made in inference mode has none
            version = 0
        return (version, 0 if value.is_cuda else _sum(_plain(value.detach().reshape(-1)[:SUMMED])))
    return _sum(value) if value.nbytes <= MOST_BYTES else 0


def _sum(array: Any) -> int:
    """A checksum of an array's bytes."""
    return zlib.adler32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def rows_now(held: list[Any], data: Any, rows: list[int]) -> dict[tuple[int, int], int]:
    """Checksums of these rows of all that has as many rows as the data set samples."""
    try:
        size = len(data)
    except TypeError:
        return {}
    return {
        (id(each), row): _sum(_plain(each[row]))
        for each in held
        if each.ndim > 1 and len(each) == size and np.prod(each.shape[1:]) >= LEAST_ROW
        for row in rows
        if 0 <= row < size
    }


def _plain(row: Any) -> Any:
    if isinstance(row, np.ndarray):
        return row
    known = row.detach().cpu().reshape(-1)
    return (known.float() if str(known.dtype) == "torch.bfloat16" else known).numpy()


def shown(held: list[Any], batch: Any) -> bool:
    """Whether the numbers of a batch, of each of its samples, are among those that are stored now."""
    from harness.watching.tensors import tensors_in  # noqa: PLC0415 - brings torch

    given = [each for each in tensors_in(batch) if each.is_floating_point() and each.dim() and each.numel()]
    if not given:
        return False
    values = given[0].detach().cpu()[:MOST_HELD].float().numpy()
    places = np.linspace(0, values.size - 1, min(values.size, SHOWN)).astype(int)
    asked = np.unique(values.reshape(-1)[places])
    known = [np.asarray(_plain(each), np.float32).reshape(-1) for each in held]
    return len(asked) >= LEAST_ROW and bool(np.isin(asked, np.concatenate(known)).mean() > 0.9)

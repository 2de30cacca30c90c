"""Tensors within arguments and outputs of any form, and what rows of tokens say of their targets."""

from collections.abc import Mapping
from typing import Any

import torch

MOST_PADDED = 1 << 20
"""Elements of inputs in which padding is looked for."""


def first_tensor(value: Any) -> Any:
    """The first tensor of an output or of arguments; logits where an output names them."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        named = [value[name] for name in ("logits", "input_ids") if isinstance(value.get(name), torch.Tensor)]
        if named:
            return named[0]
        value = list(value.values())
    if isinstance(value, list | tuple):
        tensors = [found for each in value if (found := first_tensor(each)) is not None]
        # Of (loss, logits), the logits: a scalar is what was made of the output.
        return next((each for each in tensors if each.dim()), tensors[0] if tensors else None)
    return None


def tensors_in(value: Any) -> list[torch.Tensor]:
    """All tensors of an output of any form."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [one for each in value for one in tensors_in(each)] if isinstance(value, list | tuple) else []


def is_tokens(inputs: Any) -> bool:
    """Whether these are rows of at least four token ids."""
    return (
        isinstance(inputs, torch.Tensor)
        and inputs.dim() == 2
        and not inputs.is_floating_point()
        and inputs.shape[1] >= 4
    )


def shifts_of(inputs: Any, target: Any, cut: int = 0) -> dict[int, float]:
    """How often a target is the token at its own place, at the next one, or at the one after.

    cut: how many places at the beginning are not predicted for.
    """
    inputs = inputs[:, cut:]
    if target.numel() % len(inputs):
        return {}
    rows = target.reshape(len(inputs), -1)
    if abs(rows.shape[1] - inputs.shape[1]) > 2:
        return {}
    found = {}
    for shift in (-1, 0, 1, 2):
        width = min(rows.shape[1], inputs.shape[1] - shift)
        begin = max(0, -shift)
        ours, theirs = rows[:, begin:width], inputs[:, begin + shift : width + shift]
        counted = ours >= 0
        found[shift] = float((ours == theirs)[counted].float().mean()) if bool(counted.any()) else 0.0
    return found


def hides(inputs: Any, target: Any) -> bool:
    """Whether a loss leaves out the places of one token, among others, and asks for what the others show."""
    if target.numel() != inputs.numel():
        return False
    rows = target.reshape(inputs.shape)
    counted = rows >= 0
    # Padding is left out rightly: it stands at the ends of rows.
    tokens = inputs[~counted & (counted.flip(1).cumsum(1).flip(1) > 0)]
    if not bool(counted.any()) or not len(tokens) or not bool((rows == inputs)[counted].all()):
        return False
    most = tokens.mode().values
    return float((tokens == most).float().mean()) > 0.7 and not bool((inputs[counted] == most).any())


def is_mask(value: Any, inputs: Any) -> bool:
    """Whether this says something of every place of the inputs, by 0 and 1 and not all alike."""
    if (
        not isinstance(value, torch.Tensor)
        or inputs is None
        or inputs.dim() < 2
        or value.shape != inputs.shape[:2]
    ):
        return False
    return bool(((value == 0) | (value == 1)).all()) and bool((value != 0).any()) and bool((value == 0).any())


def padding(given: list[Any]) -> Any:
    """Which places a mask among these tensors marks as padding (B, T), or None.

    Whatever its polarity: there the inputs are all alike, at the end or the beginning of each row.
    """
    first = given[0] if given else None
    if first is None or first.dim() not in (2, 3) or first.shape[1] < 2 or first.numel() > MOST_PADDED:
        return None
    for mask in given[1:]:
        if not is_mask(mask, first) or mask.dim() != 2:
            continue
        for pads in (mask == 0, mask != 0):
            if _at_ends(pads) and _alike(first[pads]) and not _alike(first[~pads]):
                return pads
    return None


def _at_ends(pads: Any) -> bool:
    """Whether padding, where a row has it, is one run up to its end, or from its beginning."""
    count = pads.long().sum(1)
    trailing, leading = (each.long().cumprod(1).sum(1) for each in (pads.flip(1), pads))
    return bool((trailing == count).all()) or bool((leading == count).all())


def _alike(values: Any) -> bool:
    return bool((values == values.reshape(-1)[0]).all())

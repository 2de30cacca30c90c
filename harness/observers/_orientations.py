"""How well an input map explains a target map, as it is and turned over: one number for every sample."""

from typing import Any

MOST_SIDE = 48
"""So many rows and columns are compared at most."""
MOST_CHANNELS = 8
MOST_CLASSES = 32
PASSED = 16
"""Operations between what a model gave and what a loss is given, at most."""
TURNING = ("Flip", "Roll", "Rot90", "GridSampler2D")


def as_map(target: Any, rows: int, height: int, width: int) -> Any:
    """The target as classes (B, H, W) or numbers (B, K, H, W); None where it is no map of this size."""
    whole = not target.is_floating_point()
    if target.numel() == rows * height * width:
        target = target.reshape(rows, 1, height, width)
        return target[:, 0] if whole else target
    fitting = target.dim() == 4 and (len(target), *target.shape[2:]) == (rows, height, width)
    return target[:, :MOST_CHANNELS].float() if fitting else None


def comes_from(predicted: Any, output: Any) -> bool:
    """Whether one was made from the other in a few operations, none of which turns it over."""
    left = [predicted.grad_fn]
    for _ in range(PASSED):
        node = left.pop(0) if left else None
        # One branch that is turned over is enough: which samples take it is not for us to see.
        if node is None or type(node).__name__.partition("Backward")[0] in TURNING:
            return False
        if node is output.grad_fn:
            return True
        left += [each for each, _ in node.next_functions if each is not None]
    return False


def fits(given: Any, target: Any, left_out: int = -100) -> Any:
    """What share of a target each orientation of the input explains, (orientations, B); as it is comes first.

    given: (B, C, H, W). target: classes (B, H, W), or numbers (B, K, H, W). The best of all channels counts.
    Not a number where one of the two is the same everywhere.
    """
    import torch  # noqa: PLC0415 - only where torch runs

    explained = _by_numbers if target.is_floating_point() else _by_classes
    target = _thinned(target)
    return torch.stack([explained(each, target, left_out) for each in _turned(_thinned(given).float())])


def _thinned(value: Any) -> Any:
    """Some rows and columns of (..., H, W), mirrored about the middle: the same ones when turned over."""
    import torch  # noqa: PLC0415 - only where torch runs

    for axis in (-2, -1):
        size = value.shape[axis]
        if size > MOST_SIDE:
            half = torch.linspace(0, (size - 1) // 2, MOST_SIDE // 2, device=value.device).long()
            value = value.index_select(axis, torch.cat([half, size - 1 - half.flip(0)]))
    return value


def _turned(value: Any) -> list[Any]:
    """A map (..., H, W) in each of its orientations: eight of a square one, four of any other."""
    flat = [value, value.flip(-1), value.flip(-2), value.flip((-2, -1))]
    return flat + [each.transpose(-2, -1) for each in flat] if value.shape[-2] == value.shape[-1] else flat


def _by_numbers(given: Any, target: Any, left_out: int) -> Any:
    """The largest squared correlation of a channel with a channel, (B,)."""
    del left_out
    x, y = _standard(given.flatten(2)), _standard(target.float().flatten(2))
    return _largest((x @ y.transpose(1, 2)).square().flatten(1))


def _standard(values: Any) -> Any:
    """(B, C, N) with a mean of zero and a length of one; not a number where they are constant."""
    values = values - values.mean(-1, keepdim=True)
    length = values.norm(dim=-1, keepdim=True)
    return values / length.masked_fill(length < 1e-6, float("nan"))


def _by_classes(given: Any, target: Any, left_out: int) -> Any:
    """The share of a channel's variance that lies between classes, the largest of all channels, (B,).

    Corrected for chance: many classes explain something of any noise.
    """
    x, y = given.flatten(2), target.flatten(1)
    counted = (y >= 0) & (y != left_out)
    classes = y[counted].unique()
    if not 1 < len(classes) <= MOST_CLASSES:
        return x.new_full((len(x),), float("nan"))
    size = counted.sum(1)[:, None].float()
    x = (x - (x * counted[:, None]).sum(2, keepdim=True) / size[:, None]) * counted[:, None]
    members = (y[..., None] == classes).float()
    sizes = members.sum(1)
    between = ((x @ members).square() / sizes.clamp(min=1)[:, None]).sum(2)
    total = x.square().sum(2)
    share = between / total.masked_fill(total < 1e-6, float("nan"))
    free = (size - (sizes > 0).sum(1, keepdim=True)).clamp(min=1)
    several = sizes.amax(1, keepdim=True) < size
    return _largest((1 - (1 - share) * (size - 1) / free).clamp(min=0).where(several, float("nan")))


def _largest(values: Any) -> Any:
    """The largest of (B, N) that is a number; not a number where none is."""
    best = values.nan_to_num(nan=-1.0).amax(1)
    return best.where(best >= 0, float("nan"))

"""What a tensor was made from."""

from typing import Any

from harness.watching.named import names_of


def leaves(value: Any) -> dict[int, Any]:
    """The parameters that a tensor was made from, by identity."""
    found: dict[int, Any] = {}
    seen, left = set(), [value.grad_fn]
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found[id(leaf)] = leaf
        left += [each for each, _ in node.next_functions]
    return found


PASSING = (
    "View", "Reshape", "UnsafeView", "Squeeze", "Unsqueeze", "Transpose", "T", "Permute", "Slice", "Select",
    "ToCopy", "Alias", "Expand", "Clone", "Cat", "Stack", "Index", "IndexSelect", "AsStrided", "Split",
)  # fmt: skip
"""Operations that give back the values that they are given."""


def made_by(value: Any) -> str:
    """The name of the operation that calculated the values of a tensor, as `Sigmoid`; '' if none did."""
    node = value.grad_fn
    while node is not None:
        name = type(node).__name__.partition("Backward")[0]
        if name not in PASSING or not node.next_functions:
            return name
        node = node.next_functions[0][0]
    return ""


def cut_off(value: Any) -> int:
    """How many of the first places of (samples, places, ...) are missing in what was made from it."""
    node, places = value.grad_fn, 0
    while node is not None and node.next_functions:
        name = type(node).__name__.partition("Backward")[0]
        if name not in PASSING:
            break
        if name == "Slice" and node._saved_dim == 1 and len(node._saved_self_sym_sizes) > 2:  # noqa: SLF001 - torch's own name
            places += _start(node)
        node = node.next_functions[0][0]
    return places


def _start(node: Any) -> int:
    """Where a slice begins; torch keeps a negative place as it was written."""
    start, size = int(node._saved_start or 0), int(node._saved_self_sym_sizes[1])  # noqa: SLF001 - torch's own name
    start = start - (1 << 64) if start >= 1 << 63 else start
    return min(size, start if start >= 0 else max(0, size + start))


def scrambled(value: Any) -> str:
    """The shapes of (samples, classes, places) that were read as (samples and places, classes), or ''.

    A view keeps the order in memory: classes have to be moved to the last axis before it.
    """
    node = value.grad_fn
    name = type(node).__name__.partition("Backward")[0]
    if name not in ("View", "UnsafeView", "ReshapeAlias") or value.dim() != 2:
        return ""
    before = tuple(int(each) for each in node._saved_self_sym_sizes)  # noqa: SLF001 - torch's own name
    classes = int(value.shape[1])
    if len(before) < 3 or before[1] != classes or before[-1] == classes or classes < 2:
        return ""
    return f"{before} and {tuple(value.shape)}"


TEACHERS = ("teacher", "target", "tgt", "ema", "momentum", "reference", "slow")


def teaches(hub: Any, made: set[int]) -> bool:
    """Whether the model with these parameters is named as one that others follow, or is being evaluated."""
    own = [one for one in hub.models.values() if any(id(each) in made for each in one.parameters())]
    told = " ".join(name for one in own for name in names_of(one))
    return any(word in told for word in TEACHERS) or any(not one.training for one in own)

"""What a tensor was made from."""

from typing import Any


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

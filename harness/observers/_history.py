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

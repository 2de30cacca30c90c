"""By what the scores of attention are multiplied, and how sharp it is before it has learned anything."""

from collections.abc import Mapping
from typing import Any

from harness.observers import Observer
from harness.observers._history import PASSING
from harness.watching.places import place

YOUNG = 2
"""Updates after which attention may be sharp for good reason."""
MOST = 16
LEAST_KEYS = 4
SCALING = ("Mul", "Div", "Add", "Sub", "MaskedFill", "Where", *PASSING)


class Attention(Observer):
    """Looks at the first softmaxes over products of two tensors, and at what such products are scaled by."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.told: list[dict[str, Any]] = []

    def softened(self, hub: Any, values: Any, axis: Any) -> None:
        """A softmax: of a product?"""
        if hub.step > YOUNG or len(self.told) >= MOST or not values.requires_grad or values.dim() < 3:
            return
        node = _product(values) if axis in (-1, values.dim() - 1) and values.shape[-1] >= LEAST_KEYS else None
        if node is not None:
            scores = values.detach().reshape(-1, *values.shape[-2:])
            self._look(node._saved_self.detach(), node._saved_mat2.detach(), scores)  # noqa: SLF001

    def attended(self, hub: Any, query: Any, key: Any, scale: Any) -> None:
        """Torch's own attention, with a scale that was asked for."""
        if scale is None or hub.step > YOUNG or len(self.told) >= MOST or key.shape[-2] < LEAST_KEYS:
            return
        one, other = (each.detach().reshape(-1, *each.shape[-2:])[:1] for each in (query, key))
        self._look(one, other.transpose(1, 2), float(scale) * (one @ other.transpose(1, 2)))

    def _look(self, one: Any, other: Any, scores: Any) -> None:
        import torch  # noqa: PLC0415 - only where torch runs

        with torch.no_grad():
            product = torch.bmm(one[:1], other[:1]).float()
            scores = scores[:1].float()
            if scores.shape != product.shape:
                return
            usable = scores.isfinite() & (scores > LOWEST) & (product.abs() >= product.abs().median())
            lengths = one[:1].float().norm(dim=-1)
            self.told.append(
                {
                    "where": place(),
                    "scale": float((scores / product)[usable].median()) if bool(usable.any()) else 0.0,
                    "width": int(one.shape[-1]),
                    "sharpness": float(scores.softmax(-1).amax(-1).mean()),
                    "unit": float((lengths - 1).abs().max()) < NEAR,
                }
            )

    def found(self, hub: Any) -> Mapping[str, Any]:
        """All that was looked at."""
        del hub
        if not self.told:
            raise NotImplementedError("no softmax over a product of two tensors was seen")
        return {"heads": self.told}


LOWEST = -1e4
"""Scores below are those of what is masked."""
NEAR = 1e-2
"""Distance from 1 of the lengths of normalized vectors."""


def _product(values: Any) -> Any:
    """The product of two tensors that scores were made from by scaling and masking, or None."""
    left, seen = [values.grad_fn], 0
    while left and seen < MOST:
        node, seen = left.pop(0), seen + 1
        name = type(node).__name__.partition("Backward")[0]
        if name == "Bmm":
            return node
        if name in SCALING:
            left += [each for each, _ in node.next_functions if each is not None]
    return None

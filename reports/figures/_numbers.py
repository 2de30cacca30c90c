"""Which numbers of many are shown."""

import numpy as np

from harness.model import Float64


def thinned(count: int, limit: int) -> list[int]:
    """Indices of at most `limit` of `count` rows, evenly, the first and the last among them."""
    if count <= limit:
        return list(range(count))
    return sorted({round(index * (count - 1) / (limit - 1)) for index in range(limit)})


def finite(values: Float64) -> Float64:
    """The finite ones."""
    return values[np.isfinite(values)]

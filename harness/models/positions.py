"""Tables of fixed positions, float64, shared by all backends so that they cannot disagree about them.

Every dtype is written out: `torch.compile` traces this code, and would otherwise make float32 of it.
"""

import numpy as np

from harness.model import Float64


def sinusoidal(length: int, width: int) -> Float64:
    """Positions that are added to the embedding, (L, D) (Vaswani et al., 2017, section 3.5).

    p[t, 2i] = sin(t / 10000^(2i/D)), p[t, 2i+1] = cos(t / 10000^(2i/D)).
    """
    even = np.arange(0, width, 2, dtype=np.float64)
    angles = np.outer(np.arange(length, dtype=np.float64), 10_000.0 ** (-even / width))
    table = np.empty((length, width), dtype=np.float64)
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)[:, : width // 2]
    return table


def rotary(length: int, head_size: int, theta: float) -> tuple[Float64, Float64]:
    """Cosine and sine, (L, A) each, that rotate queries and keys (Su et al., 2021) in Llama's convention.

    Angle t theta^(-2i/A) turns the pair (i, i + A/2); so each table holds its first half twice.
    """
    even = np.arange(0, head_size, 2, dtype=np.float64) / head_size
    angles = np.outer(np.arange(length, dtype=np.float64), theta**-even)
    angles = np.concatenate([angles, angles], axis=1)
    return np.cos(angles), np.sin(angles)

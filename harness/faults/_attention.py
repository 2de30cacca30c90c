"""Attention with another mask, for the decoder in torch."""

from collections.abc import Callable
from typing import Any

from harness.faults import override


def masked_attention(model: Any, mask: Callable[[Any], Any]) -> None:
    """Let a position see what its row of `mask(ones (L, L))` leaves."""
    import torch  # noqa: PLC0415 - only where torch runs

    def mix(query: Any, key: Any, value: Any) -> Any:
        length = query.shape[2]
        square = torch.ones(length, length, dtype=torch.bool, device=query.device)
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask(square), enable_gqa=query.shape[1] != key.shape[1]
        )

    override(model, "mix", mix)

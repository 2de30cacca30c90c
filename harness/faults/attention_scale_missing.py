"""Attention scores are not divided by the square root of the head's size."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault, override
from harness.faults._cases import no_decoder
from harness.faults._loops import TORCH
from harness.spec import Case


class AttentionScaleMissing(TrainingFault):
    """At small weights it hides below every tolerance (tiny-transformers#71, ViT-CIFAR#12)."""

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("forward_differs_from_reference",)
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Without attention."""
        return no_decoder(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Scores without their scale."""
        from torch.nn import functional  # noqa: PLC0415 - only where torch runs

        model = trainer.model

        def mix(query: Any, key: Any, value: Any) -> Any:
            return functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=1.0, enable_gqa=query.shape[1] != key.shape[1]
            )

        override(model, "mix", mix)

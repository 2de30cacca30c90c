"""Attention by plain matrix products in place of the fused kernel."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault, override
from harness.faults._cases import no_decoder
from harness.faults._loops import TORCH
from harness.spec import Case


class BenignMathAttention(TrainingFault):
    """Another kernel; rounding differs."""

    area: ClassVar[Area] = "structure"
    benign: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """Without attention."""
        return no_decoder(case)

    def spoil_trainer(self, trainer: Any) -> None:
        """Allow that kernel alone."""
        from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: PLC0415 - only where torch runs

        def mix(query: Any, key: Any, value: Any) -> Any:
            with sdpa_kernel(SDPBackend.MATH):
                return healthy(query, key, value)

        healthy = override(trainer.model, "mix", mix)

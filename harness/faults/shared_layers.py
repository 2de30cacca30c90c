"""All layers are one layer."""

from typing import Any, ClassVar

from harness.faults import Area, TrainingFault
from harness.faults._cases import no_decoder
from harness.faults._loops import TORCH, Part, become
from harness.faults._optimizers import remake, review
from harness.spec import Case, DecoderModel


class _Broken(Part):
    tensors: dict[str, Any]

    def clip(self) -> None:
        """Clip each tensor once, as `model.parameters()` gives it."""
        every = self.tensors
        self.tensors = {str(id(tensor)): tensor for tensor in every.values()}
        super().clip()
        self.tensors = every


class SharedLayers(TrainingFault):
    """`[layer] * N` in place of N layers: 16 parameters where 28 are due, and the loss falls all the same."""

    area: ClassVar[Area] = "structure"
    named: ClassVar[tuple[str, ...]] = ("aliased_parameters",)
    backends: ClassVar[tuple[str, ...]] = TORCH

    def not_applicable(self, case: Case) -> str:
        """With one layer."""
        layers = case.model.decoder.layers if isinstance(case.model, DecoderModel) else 1
        return no_decoder(case) or ("" if layers > 1 else "there is one layer")

    def spoil_trainer(self, trainer: Any) -> None:
        """Let every layer's names stand for the tensors of the first."""
        become(trainer, _Broken)
        for name in trainer.names:
            if name.startswith("layers."):
                trainer.tensors[name] = trainer.tensors[_in_first_layer(name)]
        remake(trainer, list({id(tensor): tensor for tensor in trainer.tensors.values()}.values()))
        review(trainer)


def _in_first_layer(name: str) -> str:
    _, _, rest = name.split(".", 2)
    return f"layers.0.{rest}"

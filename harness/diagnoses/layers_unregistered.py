"""Layers are kept where the model does not know of them: in a plain list or dictionary."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ProgramDiagnostician, steps_of
from harness.model import Diagnosis, Facts


class LayersUnregistered(ProgramDiagnostician):
    """Compares modules that worked with those that the models own."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Modules with trainable parameters that got gradients, of no model, held by no optimizer."""
        lost = names(found(facts, "parameters"), "unregistered")
        if steps_of(facts) < 2:
            return None
        if not lost:
            return self._in_lists(facts)
        return self.finding(
            f"{len(lost)} modules work, get gradients, and are not part of the model"
            f" ({listed(sorted(set(lost)))}):"
            " their parameters are not among model.parameters()",
            "Keep layers in nn.ModuleList or nn.ModuleDict, not in a list or dict.",
            0.9,
        )

    def _in_lists(self, facts: Facts) -> Diagnosis | None:
        """The same of a model that is not called itself, but by way of its methods."""
        told = found(facts, "outside")
        lists = names(told, "in_lists")
        if not lists:
            return None
        return self.finding(
            f"{listed(lists)} {'are' if len(lists) > 1 else 'is'} a plain list or dictionary of layers:"
            f" {len(names(told, 'uncovered'))} tensors in them get gradients, and no optimizer holds them",
            "Keep layers in nn.ModuleList or nn.ModuleDict, not in a list or dict.",
            0.9,
        )

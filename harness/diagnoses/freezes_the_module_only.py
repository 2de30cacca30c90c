"""`requires_grad` was set on modules, where it means nothing."""

from harness.diagnoses._evidence import found, listed, names
from harness.diagnoses._program import ProgramDiagnostician
from harness.model import Diagnosis, Facts


class FreezesTheModuleOnly(ProgramDiagnostician):
    """Looks for an attribute of that name on the modules of trained models."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Any whose parameters say otherwise."""
        named = names(found(facts, "parameters"), "marked_modules")
        if not named:
            return None
        return self.finding(
            f"requires_grad was set on {len(named)} modules ({listed(named)}), where it has no effect:"
            " their parameters"
            " are as they were",
            "Call module.requires_grad_(True or False), or set it on each of module.parameters().",
            0.85,
        )

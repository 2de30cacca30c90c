"""The loss that is backpropagated has no history: nothing that made it can learn from it."""

from harness.diagnoses._evidence import found
from harness.diagnoses._program import ProgramDiagnostician, count
from harness.model import Diagnosis, Facts


class LossCutOff(ProgramDiagnostician):
    """Reads the roots of the backward passes."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A root that is a leaf tensor."""
        story = found(facts, "cycle")
        leaves, backwards = count(story, "leaves"), count(story, "backwards")
        if not leaves or leaves < 0.3 * backwards:
            return None
        return self.finding(
            f"the loss is cut off: {leaves:.0f} of {backwards:.0f} backward passes began at a tensor"
            " that was made"
            " anew and depends on no parameter",
            "Is the loss wrapped in torch.tensor(...), or taken by .item(), .data or .detach()?",
            0.97,
            step=0,
        )

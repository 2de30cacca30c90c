"""A copy of the model is evaluated with running statistics that nobody ever set."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class AverageLacksStatistics(ProgramDiagnostician):
    """Compares the buffers of a copy's normalization layers with those of the trained model."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """As they were made, in a copy that follows and is called in evaluation mode."""
        for model in entries(facts, "copies", "models"):
            layers = count(model, "stale_statistics")
            if not layers or not model.get("changed") or not count(model, "evaluated"):
                continue
            return self.finding(
                f"a second {model['model']} follows the trained one and is evaluated, but {layers:.0f} of its"
                " normalization layers still have the running statistics that they were made with",
                "Copy the buffers too, or run update_bn on the averaged model before it is evaluated.",
                0.85,
            )
        return None

"""An average of the weights is evaluated that is still near where the training began."""

from harness.diagnoses._evidence import found, names
from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.diagnoses.copy_never_follows import FOLLOWERS
from harness.model import Diagnosis, Facts

LITTLE = 0.3
"""Of the way that the trained model went."""
LEAST = 50
"""Updates."""


class AverageLags(ProgramDiagnostician):
    """Compares how far a copy has gone with how far the trained model went."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """A little of it, of a copy that is named for following and is not asked during the training."""
        updates = count(found(facts, "program"), "updates")
        for model in entries(facts, "copies", "models"):
            gone, quiet = count(model, "gone"), count(model, "quiet")
            told = " ".join(names(model, "names"))
            if updates < LEAST or not 1e-6 < gone < LITTLE or not 0 < quiet < 0.5 * updates:
                continue
            # A target that learns slowly is asked at every step; it is not what is evaluated.
            if not any(word in told for word in FOLLOWERS):
                continue
            return self.finding(
                f"the average lags: a second {model['model']} that is evaluated has gone {gone:.0%} of the"
                f" way that the trained one went in {updates:.0f} updates",
                "Shorten its memory: a decay of 1 - 10 / updates, or min(decay, (1 + n) / (10 + n)).",
                0.75,
            )
        return None

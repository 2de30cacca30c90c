"""An average of the weights is kept in a format that rounds its small steps away."""

from harness.diagnoses._program import ENOUGH, ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts

LONG = 20
"""Updates of the source that a copy is watched for."""


class AverageRoundedAway(ProgramDiagnostician):
    """Asks which elements of a copy in sixteen bits keep their bits while the trained model moves on.

    Healthy: an average in the format of its source; a copy in sixteen bits that is made anew now and then,
    as for evaluation, where all elements follow; and one that stands still, as a reference does.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Whenever it moves, many of those that are clearly apart from the source do not."""
        for model in entries(facts, "copies", "models"):
            kept, apart = count(model, "kept"), count(model, "apart")
            if count(model, "watched") < LONG or count(model, "moves") < ENOUGH or not model.get("alike"):
                continue
            if kept <= 0.4 or apart <= 0.2:
                continue
            return self.finding(
                f"a second {model.get('model')} in {model.get('format')} follows the trained one, but when it"
                f" moves, {kept:.0%} of the elements that are clearly apart from it keep their bits, and"
                f" {apart:.0%} are: steps smaller than the spacing of its numbers are lost",
                "Keep the average in float32, and round a copy of it where that is needed.",
                0.9 if kept > 0.7 else 0.7,
            )
        return None

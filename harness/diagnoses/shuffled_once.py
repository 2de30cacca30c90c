"""A loader shuffles once, and its batches are kept and come again and again as they were."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries
from harness.model import Diagnosis, Facts


class ShuffledOnce(ProgramDiagnostician):
    """Looks for batches of a loader that shuffles which are trained on in one and the same order all along.

    Healthy: one batch that is trained on again and again, batches that are used a few times in a row, and
    kept batches that are drawn from, or put in another order.
    """

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """All batches of a pass, three times or more, in the same order, from no new pass."""
        for told in entries(facts, "replays", "loaders"):
            period, steps, length = (count(told, key) for key in ("period", "steps", "length"))
            if period < 2 or not steps >= 3 * period:
                continue
            # A few batches of many are kept to see whether a model can learn at all.
            whole = period >= length - 1 and period >= count(told, "batches") - 1
            certain = whole and period > 2 and count(told, "inputs") > 0.9
            return self.finding(
                f"a loader that shuffles gave {period:.0f} batches, and these came again"
                f" {steps / period - 1:.0f} times, unchanged and in the same order: nothing was shuffled or"
                " drawn at random after the first time",
                "Go through the loader itself in every epoch; itertools.cycle(loader) and list(loader) keep"
                " the batches of one pass.",
                0.8 if certain else 0.4,
            )
        return None

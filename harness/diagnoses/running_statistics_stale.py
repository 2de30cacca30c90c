"""Running statistics of batch normalization do not describe the data."""

from harness.diagnoses._program import (
    ProgramDiagnostician,
    alone_in_program,
    count,
    entries,
    main_site,
    steps_of,
)
from harness.model import Diagnosis, Facts

LEAST_STEPS = 30
APART = 1.2
"""A variance that is three times as large as it should be, or a third."""
NEARLY = 0.7
"""Where the loss is worse in evaluation, too."""
REMEDY = (
    "Check the momentum of batch normalization and the size of batches; let statistics run in training mode."
)
NEAR = 0.3
"""Of the loss of chance: a model that is evaluated so has lost a good part of what it learned."""


class RunningStatisticsStale(ProgramDiagnostician):
    """Compares the loss of one batch by batch statistics and by running statistics."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Far apart after a training long enough."""
        for asked in entries(facts, "behaviour", "models"):
            on, off = count(asked, "loss_in_training"), count(asked, "loss_in_evaluation")
            apart = count(asked, "statistics_off")
            if steps_of(facts) < LEAST_STEPS:
                continue
            worse = off > 1.5 * on + 0.1 * abs(on) and off - on > 0.2
            if apart > (NEARLY if worse else APART) and alone_in_program(facts):
                return self.finding(
                    f"running statistics are stale: in the layer in the middle they lie {apart:.2g} from"
                    " those of the last batch (deviations of its mean, or the logarithm of variances' ratio)",
                    REMEDY,
                    0.7,
                )
            if "loss_in_training" not in asked:
                continue
            if off > 3 * on + 0.1 * abs(on) and off - on > 0.3:
                return self.finding(
                    f"running statistics are stale: the loss of the last batch is {on:.4g} by its own"
                    " statistics and"
                    f" {off:.4g} by the running ones",
                    REMEDY,
                    # A critic that gets real and fake batches in turn has statistics of the mixture.
                    0.75 if alone_in_program(facts) and _blind(facts, off) else 0.45,
                )
        return None


def _blind(facts: Facts, loss: float) -> bool:
    """Whether this is near or above what a model reaches that takes no input; also where that is unknown."""
    chance = count(main_site(facts), "chance")
    return not chance > 0 or loss > NEAR * chance

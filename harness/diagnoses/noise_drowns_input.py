"""A model that draws random numbers gives nearly the same for all samples: its input is lost."""

from harness.diagnoses._program import ProgramDiagnostician, count, entries, steps_of
from harness.model import Diagnosis, Facts

LEAST = 100
"""Updates: early on, little is known of the input."""
LITTLE = 0.15
"""Of the variance of the outputs."""


class NoiseDrownsInput(ProgramDiagnostician):
    """Asks a copy of the model for the same samples several times."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Where outputs are held to targets that differ from sample to sample."""
        for model in entries(facts, "behaviour", "models"):
            share = count(model, "told_apart")
            if "told_apart" not in model or share >= LITTLE or steps_of(facts) < LEAST:
                continue
            return self.finding(
                f"the input is lost: of the variance of what {model['model']} gives, {share:.0%} comes from"
                " its samples, and the rest from the random numbers that it draws",
                "Does a penalty of what is between (a KL term that is summed where the reconstruction is"
                " averaged) weigh too much? Is more noise drawn than meant?",
                0.75,
            )
        return None

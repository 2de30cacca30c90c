"""Two trainings from the same start differ."""

from harness.checks._common import first_different_step
from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, truth
from harness.model import Diagnosis, Facts


class Nondeterministic(Diagnostician):
    """Losses or final weights are not the same bits."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Every cause that explains the difference outranks it."""
        repeat = found(facts, "repeat")
        step = first_different_step(facts)
        if step is None and truth(repeat, "weights_equal") is not False:
            return None
        where = f"losses part at step {step}" if step is not None else "losses agree, final weights do not"
        return Diagnosis(
            name=self.name,
            cause=f"training is nondeterministic: {where} between two trainings from the same start",
            remedy="Are all seeds set, deterministic kernels chosen, and threads or atomics kept"
            " out of sums?",
            weight=0.9,
            step=step,
            evidence=(f"final weights equal: {'yes' if truth(repeat, 'weights_equal') else 'no'}",),
        )

"""Two trainings from the same start differ."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, number, truth
from harness.model import Diagnosis, Facts


class Nondeterministic(Diagnostician):
    """Losses or final weights are not the same bits."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Every cause that explains the difference outranks it."""
        repeat = found(facts, "repeat")
        step = number(repeat, "first_different_step")
        if not step >= 0 and truth(repeat, "weights_equal") is not False:
            return None
        where = f"losses part at step {step:.0f}" if step >= 0 else "losses agree, final weights do not"
        return Diagnosis(
            name=self.name,
            cause=f"training is nondeterministic: {where} between two trainings from the same start",
            remedy="Are all seeds set, deterministic kernels chosen, and threads or atomics kept"
            " out of sums?",
            weight=0.9,
            step=int(step) if step >= 0 else None,
            evidence=(f"final weights equal: {'yes' if truth(repeat, 'weights_equal') else 'no'}",),
        )

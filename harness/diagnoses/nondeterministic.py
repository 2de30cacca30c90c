"""Two trainings from the same start differ."""

from collections.abc import Mapping
from typing import Any

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
        parting = _parting(repeat)
        where = f"losses part at step {step}" if step is not None else "losses agree, final weights do not"
        return Diagnosis(
            name=self.name,
            cause=f"training is nondeterministic: {where} between two trainings from the same start",
            remedy="Are all seeds set, deterministic kernels chosen, and threads or atomics kept"
            " out of sums?",
            weight=0.9,
            step=parting.get("step", step),
            tensor=parting.get("tensor", ""),
            evidence=(
                f"final weights equal: {'yes' if truth(repeat, 'weights_equal') else 'no'}",
                *([f"two recorded trainings part first at {parting['words']}"] if parting else []),
            ),
        )


def _parting(repeat: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where two recorded trainings part; empty where nobody knows."""
    parting = repeat.get("parting")
    return parting if isinstance(parting, Mapping) and {"step", "tensor", "words"} <= set(parting) else {}

"""Resuming loses the optimizer's state: the first loss is right, later ones are not."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import found, largest, number, numbers
from harness.model import Diagnosis, Facts
from harness.units import show

ROUNDING = 1e-6


class ResumeLosesState(Diagnostician):
    """2 N steps against N steps, save, load, N steps."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """Weights are there if the first loss agrees; another rate or position is another cause."""
        resume = found(facts, "resume")
        loss, rate = numbers(resume, "loss_difference"), numbers(resume, "rate_difference")
        weights, split = number(resume, "weights_difference"), number(resume, "split")
        at = number(resume, "resumed_at")
        elsewhere = (at >= 0 and at != split) or bool((rate > ROUNDING).any())
        if elsewhere or not (weights > ROUNDING or (loss > ROUNDING).any()):
            return None
        begins = bool(len(loss)) and bool(loss[0] <= ROUNDING)
        step = int(split) if split >= 0 else None
        return Diagnosis(
            name=self.name,
            cause=f"resume loses {'optimizer state' if begins else 'state'}:"
            f" {'the first loss is right, ' if begins else ''}"
            f"weights end {show(weights, '')} apart",
            remedy="Are optimizer and random state saved and loaded with the weights?",
            weight=0.95 if begins else 0.9,
            step=step,
            evidence=(
                (
                    f"relative loss difference {show(largest(loss), '')} at most, over {len(loss)}"
                    " steps after the break"
                ),
                "the learning rate agrees",
            ),
        )

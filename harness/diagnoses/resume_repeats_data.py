"""Resuming starts again: the schedule or the position in the data is not restored."""

from harness.diagnoses import Diagnostician
from harness.diagnoses._evidence import first, found, largest, number, numbers
from harness.model import Diagnosis, Facts
from harness.units import show

ROUNDING = 1e-6


class ResumeRepeatsData(Diagnostician):
    """After the break the learning rate or the position is another one."""

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The position that the resumed training takes, and its rates step by step."""
        resume = found(facts, "resume")
        split, at = number(resume, "split"), number(resume, "resumed_at")
        rate = numbers(resume, "rate_difference")
        elsewhere = at >= 0 and split >= 0 and at != split
        if not elsewhere and not (rate > ROUNDING).any():
            return None
        step = int(split) + first(rate > ROUNDING) if split >= 0 else None
        return Diagnosis(
            name=self.name,
            cause=f"resume starts again at step {show(at, '')} in place of {show(split, '')}:"
            " data are repeated"
            if elsewhere
            else "resume restarts the schedule: the learning rate differs by up to"
            f" {show(largest(rate), '%')}",
            remedy="Are the scheduler's state and the position in the data saved and loaded?",
            weight=0.96,
            step=step,
            evidence=(
                f"learning rate {show(largest(rate), '%')} apart at most",
                f"loss {show(largest(numbers(resume, 'loss_difference')), '%')} apart at most",
            ),
        )

"""A named cause a file. Each weighs the evidence in the facts of a failed run: cause, place, remedy.

Pure: facts in, diagnosis out. A diagnosis keys on a question's answer (a gradient that is twice its own
recomputation, a logit that moved when only the future changed), never on a fault, a file or an exact number.
"""

from typing import ClassVar

from harness.model import Diagnosis, Facts

PROOF = 0.5
"""What a diagnosis weighs, at least, that makes a program sick by itself; below, it is told as a guess."""


class Diagnostician:
    """Base of all diagnoses. Stateless.

    alone: its evidence is proof by itself, also of a program of which nothing is known and no check failed.
    """

    alone: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The diagnosis's name: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    def weigh(self, facts: Facts) -> Diagnosis | None:
        """The diagnosis with its weight, or None when the evidence does not speak for it.

        Weight: 0.9 and more: this question's answer cannot come about otherwise; 0.5 to 0.9: it fits, other
        causes could leave the same trace; below: a guess, marked as one.
        """
        raise NotImplementedError


Base = Diagnostician

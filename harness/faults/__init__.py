"""A named way to break a training on purpose a file, to prove that a case would notice.

Benign ones must raise nothing.

A *training fault* spoils the data or the live trainer before anything is measured, so that every pass, probe
and comparison of the run sees the broken program. A *trace fault* spoils recorded facts. A fault knows which
diagnoses name it rightly; no check and no diagnosis ever knows a fault.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from harness.model import Facts
from harness.problem import Problem
from harness.spec import Case

Area = Literal[
    "loss", "gradients", "optimizer", "schedule", "data", "masking", "evaluation", "checkpoint", "precision",
    "memory", "structure", "record",
]  # fmt: skip


class Fault:
    """Base of all faults. Stateless.

    area: what part of training it breaks. named: diagnoses that name it rightly, any of them. benign: a
    harmless variant; whatever it raises is a false alarm. backends: where it can be injected; empty means on
    any. because: why not on the others, for people.
    """

    area: ClassVar[Area]
    named: ClassVar[tuple[str, ...]] = ()
    benign: ClassVar[bool] = False
    backends: ClassVar[tuple[str, ...]] = ()
    because: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """The fault's name: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    def not_applicable(self, case: Case) -> str:
        """Why it changes nothing in this case (no attention in a perceptron); empty when it does."""
        del case
        return ""


class TraceFault(Fault):
    """Spoils the facts of a healthy run; costs no training."""

    area: ClassVar[Area] = "record"

    def spoil(self, facts: Facts) -> Facts:
        """The facts as a broken training or a broken recording would have left them.

        Raises:
            NotImplementedError: these facts lack what it spoils; its text says what.
        """
        raise NotImplementedError


class TrainingFault(Fault):
    """Breaks the program that is trained."""

    def spoil_problem(self, problem: Problem) -> Problem:
        """Broken data; the problem itself when the fault lies elsewhere."""
        return problem

    def spoil_trainer(self, trainer: Any) -> None:
        """Break a live trainer of `harness.training.LoopTrainer`, right after it was built."""


def override(target: object, method: str, replacement: Callable[..., Any]) -> Callable[..., Any]:
    """Replace a method of one object, which must have it; returns the original, bound."""
    original: Callable[..., Any] = getattr(target, method)
    setattr(target, method, replacement)
    return original


Base = Fault

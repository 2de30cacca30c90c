"""One question put to a live training a file; asked only when a check of the case reads its answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.model import Trace
from harness.problem import Problem
from harness.trainer import Trainer


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a probe may use.

    build: makes a fresh trainer with the problem's starting weights, or with those of another problem if it
    is given one; close it after use. observed: the trainer whose steps were recorded, at its end; to be
    read, never stepped. trace: of that training. losses, weights_digest: of another, unobserved training
    from the same start. reference: this backend is the reference. scratch: a folder of this run's own.
    cache: a folder for what is costly and depends on the problem alone. others: problems of the same case
    from the seeds after its own, made as they are taken, as many as a check asks for.
    """

    problem: Problem
    build: Callable[..., Trainer]
    observed: Trainer
    trace: Trace
    losses: Sequence[float]
    weights_digest: str
    observed_digest: str
    reference: bool
    scratch: Path
    cache: Path | None
    others: Iterable[Problem] = ()


class Probe:
    """Base of all probes. Stateless. It works on fresh trainers, and so never changes what it looks at."""

    @property
    def name(self) -> str:
        """The probe's name: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    def ask(self, context: Context) -> Mapping[str, Any]:
        """Named numbers and short texts.

        Raises:
            NotImplementedError: the question makes no sense here; its text says why.
        """
        raise NotImplementedError


Base = Probe

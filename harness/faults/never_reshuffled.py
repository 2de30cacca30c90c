"""Every epoch comes in the order of the first."""

from dataclasses import replace
from typing import ClassVar

from harness.faults import Area, TrainingFault
from harness.problem import Problem, build_problem
from harness.spec import Case, TextData


def _first_epoch(problem: Problem) -> int:
    """Steps before the first that holds a sample which was there before."""
    seen: set[int] = set()
    for step, batch in enumerate(problem.batches):
        ids = set(batch.sample_ids.tolist())
        if seen & ids:
            return step
        seen |= ids
    return len(problem.batches)


def _epochs(case: Case) -> bool:
    return isinstance(case.config.data, TextData) and _first_epoch(build_problem(case)) < case.config.steps


class NeverReshuffled(TrainingFault):
    """`sampler.set_epoch` is never called (pytorch#31771, Lightning#224)."""

    area: ClassVar[Area] = "data"
    named: ClassVar[tuple[str, ...]] = ("never_reshuffled",)

    def not_applicable(self, case: Case) -> str:
        """With fresh samples at every step, or less than two epochs."""
        return "" if _epochs(case) else "no sample comes a second time"

    def spoil_problem(self, problem: Problem) -> Problem:
        """Repeat the batches of the first epoch."""
        epoch = _first_epoch(problem)
        return replace(
            problem, batches=tuple(problem.batches[step % epoch] for step in range(len(problem.batches)))
        )

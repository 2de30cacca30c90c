"""Runs what is recorded once more, with the code that is here, and names all that is not as it was."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from harness.case_files import CaseFile
from harness.diverge import NONE, parting_of
from harness.documents import parse
from harness.draft import Draft
from harness.environment import fingerprint
from harness.model import HarnessError, Outcome, Run, Trace
from harness.pipeline import judged
from harness.runner import Runner, Task
from harness.spec import Case

PASSING = ("boot", "canary", "commit_date", "branch", "memory", "cgroup_memory", "cgroup_cpus")
"""Of an environment, what is another each time and changes no number."""
NOT_BITS = ("memory", "absent")
"""Of a trace, what two equal trainings need not share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """A recorded run and its repetition.

    same: whether both gave the same bits and came to the same end. differences: what is not as it was, in
    words. parting: where the trainings part; '' if they do not, or where nothing was recorded.
    """

    recorded: Run
    run: Run
    same: bool
    differences: tuple[str, ...]
    parting: str = ""

    @property
    def comparable(self) -> bool:
        """Whether the repetition left something to compare; what broke here says nothing about the run."""
        good = Outcome.COMPLETED
        return self.run.facts.outcome is good or self.recorded.facts.outcome is not good


def replay(recorded: Run, case: Case) -> Replay:
    """Run a case as it was, on the backend of a recorded run."""
    with closing(Runner(cache=Path("out/cache")).run([Task(case=case, backend=recorded.backend)])) as ends:
        run = judged(next(iter(ends)), recorded.session, fingerprint())
    old, new = recorded.facts.trace, run.facts.trace
    found = None if old is None or new is None else parting_of(old, new, NONE)
    return Replay(
        recorded=recorded,
        run=run,
        same=_ending(recorded) == _ending(run) and same_bits(old, new),
        differences=tuple(_differences(recorded, run)),
        parting="" if found is None else found.words(),
    )


def case_of(recorded: Run, kept: CaseFile | None, where: Path = Path()) -> Case:
    """The case of a recorded run, as it was. where: the folder that its file's path begins in.

    Raises:
        HarnessError: it was not kept, or is no good case here.
    """
    name = f"run {recorded.id} ({recorded.case} [{recorded.backend}])"
    if kept is None:
        raise HarnessError(
            f"{name}: its case was not kept, as is done since schema 2; run it again to record it"
        )
    path = where / kept.path
    draft = Draft(path=path, root=parse(json.dumps(dict(kept.raw), ensure_ascii=False), path))
    case = draft.case(recorded.case)
    if case is None:
        raise HarnessError(f"{name}: {draft.mistakes[0]}")
    return case


def _ending(run: Run) -> tuple[str, str]:
    """How it ended; where no step was recorded, the words for it are all there is to compare."""
    return str(run.facts.outcome), run.facts.message if run.facts.trace is None else ""


def same_bits(one: Trace | None, other: Trace | None) -> bool:
    """Whether two trainings gave the same numbers, to the bit."""
    if one is None or other is None:
        return one is other
    names = [field.name for field in fields(Trace) if field.name not in NOT_BITS]
    return all(_alike(getattr(one, name), getattr(other, name)) for name in names)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=True)
    return bool(one == other)


def _differences(recorded: Run, run: Run) -> Iterator[str]:
    """What is another than it was, the case first."""
    problems = [None if each.facts.problem is None else each.facts.problem.digest for each in (recorded, run)]
    pairs = [
        ("case digest", recorded.case_digest, run.case_digest),
        ("problem digest", *problems),
        ("outcome", recorded.facts.outcome, run.facts.outcome),
        ("status", recorded.status, run.status),
    ]
    old, new = ({**each.environment, **each.facts.environment} for each in (recorded, run))
    keys = [key for key in dict.fromkeys((*old, *new)) if key not in PASSING]
    pairs += [(key, old.get(key), new.get(key)) for key in keys]
    yield from (f"{what}: {before} and {after}" for what, before, after in pairs if before != after)

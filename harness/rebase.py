"""Records baselines, by explicit wish only: of committed code, two healthy runs that agree, and a reason."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.baselines import (
    CHECKS,
    FOLDER,
    Baseline,
    UnreadableError,
    baseline_of,
    largest_change,
    path_of,
    read,
    write,
)
from harness.calibrate import SickError, backends_here
from harness.environment import fingerprint, uncommitted
from harness.judge import judge
from harness.ledger import LEDGER, Entry, enter
from harness.model import Facts, HarnessError, Status
from harness.runner import Finished, Runner, Task
from harness.spec import Case

REPEATS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebased:
    """What came of one backend. largest: relative change of any number; None where there was no baseline."""

    case: str
    backend: str
    path: Path
    changed: bool
    largest: float | None


def rebase(
    case: Case,
    because: str,
    *,
    backends: Sequence[str] = (),
    on_end: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Rebased, ...]:
    """Run a case twice on each backend and record what both gave, or nothing at all.

    backends: those to record; where none is named, those on which a check of the case compares with one.
    on_end: on_end(number, of) hears of each run that ended.

    Raises:
        HarnessError: no reason, code that is not committed, or no backend that can run here.
        SickError: a run is not healthy, or two runs disagree.
    """
    chosen = to_record(case, because, backends)
    environment = fingerprint(case.path.parent)
    runs = _run(case, chosen, on_end)
    new = {backend: _agreed(case, backend, runs[backend], environment) for backend in chosen}
    return tuple(_record(case, backend, baseline, because.strip()) for backend, baseline in new.items())


def to_record(case: Case, because: str, backends: Sequence[str] = ()) -> list[str]:
    """The backends that `rebase` would run.

    Raises:
        HarnessError: as `rebase` does before it runs anything.
    """
    if not because.strip():
        raise HarnessError("--because: empty; say why other numbers are right from now on")
    _refuse_uncommitted(case)
    return _chosen(case, backends)


def _refuse_uncommitted(case: Case) -> None:
    changed = uncommitted(case.path.parent)
    if changed is None:
        raise HarnessError(f"{case.path}: not in a git repository; a baseline must name the commit it is of")
    others = [path for path in changed if Path(path).parent.name != FOLDER]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise HarnessError(
            f"{others[0]}{more}: not committed; a baseline must name its commit: commit or stash first"
        )


def _chosen(case: Case, backends: Sequence[str]) -> list[str]:
    wanted = backends or [name for name in case.backends if set(CHECKS) & set(case.expectations(name))]
    if not wanted:
        raise HarnessError(
            f"{case.name}: expects no `{CHECKS[0]}` on any backend; add it, or name a --backend"
        )
    chosen, absent = backends_here(case, wanted)
    gone = [f"{name}: {why}" for name, why in absent.items() if name in wanted]
    if gone and (backends or not chosen):
        raise HarnessError(f"{case.name}: cannot run here on {'; '.join(gone)}")
    return chosen


def _run(case: Case, backends: Sequence[str], on_end: Callable[[int, int], None]) -> dict[str, list[Facts]]:
    tasks = [Task(case=case, backend=backend) for backend in backends for _ in range(REPEATS)]
    found: dict[str, list[Facts]] = {backend: [] for backend in backends}
    with closing(Runner(cache=Path("out/cache")).run(tasks)) as ends:
        for number, finished in enumerate(ends, start=1):
            _refuse_sick(finished)
            found[finished.task.backend].append(finished.facts)
            on_end(number, len(tasks))
    return found


def _refuse_sick(finished: Finished) -> None:
    case, backend = finished.task.case, finished.task.backend
    checks = {name: check for name, check in case.expectations(backend).items() if name not in CHECKS}
    judgement = judge(checks, finished.facts)
    if judgement.status is not Status.PASS:
        said = " ".join(judgement.message.split())
        raise SickError(
            f"{case.name} [{backend}]: {judgement.status}: {said}; only a run that passes is recorded"
        )


def _agreed(case: Case, backend: str, runs: Sequence[Facts], environment: Mapping[str, Any]) -> Baseline:
    first, *others = (baseline_of(case, backend, facts, environment) for facts in runs)
    for other in others:
        if other != first:
            raise SickError(f"{case.name} [{backend}]: {_disagreement(first, other)}; nothing was recorded")
    return first


def _disagreement(one: Baseline, other: Baseline) -> str:
    pairs = enumerate(zip(one.losses, other.losses, strict=False))
    step = next((number for number, (left, right) in pairs if left != right), None)
    where = "in the final weights" if step is None else f"from the loss of step {step} on"
    return f"{REPEATS} runs of the same code differ {where}, expected the same bits"


def _record(case: Case, backend: str, new: Baseline, because: str) -> Rebased:
    path = path_of(case, backend)
    try:
        old = read(path)
    except UnreadableError:
        old = None
    largest = None if old is None else largest_change(old, new)
    changed = old is None or not _same(old, new)
    if changed:
        write(path, new)
        enter(path.parent / LEDGER, _entry(new, because, largest))
    return Rebased(case=case.name, backend=backend, path=path, changed=changed, largest=largest)


def _same(old: Baseline, new: Baseline) -> bool:
    """Whether nothing that is compared differs: what commit it is of does not matter."""
    parts = (
        "revision",
        "problem_digest",
        "environment",
        "digest",
        "metrics",
        "weight_norms",
        "losses",
        "convergence",
    )
    return all(getattr(old, part) == getattr(new, part) for part in parts)


def _entry(new: Baseline, because: str, largest: float | None) -> Entry:
    return Entry(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=new.commit,
        case=new.case,
        backend=new.backend,
        revision=new.revision,
        largest_change=largest,
        because=because,
    )

"""Baselines: what a case on a backend once gave, in a text file beside the case, and how it reaches a run.

`cases/baselines/CASE.BACKEND.json`: a number a line, so that a diff shows what changed. `harness rebase`
alone writes them. What a run is compared with becomes part of its facts: it can be judged again at any time.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from harness.checks.convergence import Convergence
from harness.checks.matches_baseline import METRICS, RECORDED
from harness.comparable import MACHINE_PARTS
from harness.model import Answer, BrokenError, Facts, HarnessError, Outcome
from harness.spec import Case

SCHEMA = 1
FOLDER = "baselines"
CHECKS = ("matches_baseline", "convergence")
"""Those that compare with what was recorded."""
PASSING = (
    "commit", "commit_date", "branch", "dirty", "boot", "canary", "host", "kernel", "memory",
    "cgroup_memory", "cgroup_cpus",
)  # fmt: skip
"""Of a fingerprint, what changes no number."""
ALIKE = ("device", "dtype", "threads", "ranks")
"""What must be the same for a comparison to mean anything."""
FRAMEWORKS = ("torch",)
"""Backends whose names begin so compute what this package computes; its minor release must be the same."""


class UnreadableError(HarnessError):
    """A baseline that cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """The recorded truth of one case on one backend.

    environment: of the run, without `PASSING`. digest: of all parameters at the end. metrics: by name.
    weight_norms: of each tensor, of the weights that the last step starts from. losses: of every step.
    convergence: of the check of that name, where the case has it: a loss, and the steps to it by seed.
    """

    case: str
    backend: str
    revision: int
    case_digest: str
    problem_digest: str
    commit: str | None
    environment: Mapping[str, Any]
    digest: str
    metrics: Mapping[str, float]
    weight_norms: Mapping[str, float]
    losses: tuple[float, ...]
    convergence: Mapping[str, Any] = field(default_factory=dict)


def path_of(case: Case, backend: str) -> Path:
    """Where the baseline lies: a folder beside the case file."""
    return case.path.parent / FOLDER / f"{case.name.replace('/', '_')}.{backend}.json"


def baseline_of(case: Case, backend: str, facts: Facts, environment: Mapping[str, Any]) -> Baseline:
    """What a completed run would be recorded as. environment: the fingerprint of its machine."""
    trace, problem = facts.trace, facts.problem
    if trace is None or problem is None or not trace.steps:
        raise HarnessError(f"{case.name} [{backend}]: no step was recorded; there is nothing to record")
    told = "weight_norm" not in trace.absent
    norms = dict(zip(trace.tensors, trace.weight_norm[-1].tolist(), strict=True)) if told else {}
    return Baseline(
        case=case.name,
        backend=backend,
        revision=case.revision,
        case_digest=case.digest,
        problem_digest=problem.digest,
        commit=environment.get("commit"),
        environment=_lasting({**environment, **facts.environment}),
        digest=trace.digests[-1] if trace.digests else "",
        metrics={name: facts.measurements[name].value for name in METRICS if name in facts.measurements},
        weight_norms=norms,
        losses=tuple(trace.loss.tolist()),
        convergence=_convergence(case, backend, facts),
    )


def _convergence(case: Case, backend: str, facts: Facts) -> dict[str, Any]:
    check = case.expectations(backend).get("convergence")
    try:
        return check.recorded(facts) if isinstance(check, Convergence) else {}
    except ValueError as error:
        raise HarnessError(f"{case.name} [{backend}]: convergence: {error}") from error


def write(path: Path, baseline: Baseline) -> None:
    """Write a baseline; whoever dies meanwhile leaves the old one.

    Raises:
        BrokenError: the file cannot be written.
    """
    text = json.dumps({"schema": SCHEMA, **asdict(baseline)}, indent=1, ensure_ascii=False) + "\n"
    temporary = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise BrokenError(f"{path}: the baseline cannot be written: {reason}; free space there") from error


def read(path: Path) -> Baseline | None:
    """The baseline in a file; None where there is no file.

    Raises:
        UnreadableError: it cannot be read, or does not hold what a baseline holds.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return _checked(found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        said = " ".join(str(error).split())
        raise UnreadableError(
            f"{path}: not a baseline: {said:.200}; restore the file, or record it again: harness rebase"
        ) from error


def _checked(found: Any) -> Baseline:
    if found["schema"] != SCHEMA:
        raise ValueError(f"schema {found['schema']}, expected {SCHEMA}")
    lacking = [one.name for one in fields(Baseline) if one.name not in {*found, "convergence"}]
    if lacking:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    # What came later is absent where nothing asks for it.
    values = {one.name: found[one.name] for one in fields(Baseline) if one.name != "convergence"}
    values["convergence"] = _checked_convergence(found.get("convergence") or {})
    values["losses"] = tuple(map(_number, values["losses"]))
    for name in ("metrics", "weight_norms"):
        values[name] = {key: _number(value) for key, value in values[name].items()}
    if not isinstance(values["environment"], dict):
        raise TypeError("environment: expected a mapping")
    return Baseline(**values)


def _checked_convergence(found: Any) -> dict[str, Any]:
    if not found:
        return {}
    steps = {str(seed): _number(steps) for seed, steps in found["steps"].items()}
    return {"to": _number(found["to"]), "steps": steps}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {value!r:.40}")
    return float(value)


def with_recorded(
    facts: Facts, case: Case, backend: str, environment: Mapping[str, Any], *, exactly: bool = True
) -> Facts:
    """The facts of a run with what it is to be compared with, if its case asks for that.

    environment: the fingerprint of its machine. exactly: whether the bits count, where they can; not where
    the code was broken on purpose.
    """
    if not set(CHECKS) & set(case.expectations(backend)) or facts.outcome is not Outcome.COMPLETED:
        return facts
    found = recorded(facts, case, backend, environment)
    if not exactly:
        found = {**found, "bitwise": False}
    return replace(facts, answers={**facts.answers, RECORDED: Answer(facts=found)})


def recorded(facts: Facts, case: Case, backend: str, environment: Mapping[str, Any]) -> dict[str, Any]:
    """What the checks of `CHECKS` read: the recorded numbers, or why there are none."""
    path = path_of(case, backend)
    how = f"harness rebase {case.name} --backend {backend} --because ..."
    try:
        baseline = read(path)
    except UnreadableError as error:
        return {"reason": "unreadable_baseline", "message": str(error)}
    if baseline is None:
        return {"reason": "no_baseline", "message": f"{path}: there is none; record one: {how}"}
    now = _lasting({**environment, **facts.environment})
    problem = None if facts.problem is None else facts.problem.digest
    unlike = _unlike(baseline, case, backend, problem, now)
    if unlike:
        message = f"{path}: {unlike} (recorded and now); unlike things are not compared; record again: {how}"
        return {"reason": "no_comparable_baseline", "message": message}
    return {
        "reason": "",
        "message": "",
        "path": str(path),
        "rebase": how,
        "commit": baseline.commit,
        "bitwise": now == baseline.environment,
        "losses": list(baseline.losses),
        "metrics": dict(baseline.metrics),
        "weight_norms": dict(baseline.weight_norms),
        "digest": baseline.digest,
        "convergence": dict(baseline.convergence),
    }


def _unlike(
    baseline: Baseline, case: Case, backend: str, problem_digest: str | None, now: Mapping[str, Any]
) -> str:
    """The first difference that forbids a comparison, in words; '' if there is none."""
    then, reduce = baseline.environment, {part.key: part.reduce for part in MACHINE_PARTS}
    frameworks = [name for name in FRAMEWORKS if baseline.backend.startswith(name)]
    pairs = [
        ("case", baseline.case, case.name),
        ("backend", baseline.backend, backend),
        ("case revision", baseline.revision, case.revision),
        ("problem digest", baseline.problem_digest, problem_digest),
        *((key, *(reduce[key](side.get(key)) for side in (then, now))) for key in (*ALIKE, *frameworks)),
    ]
    return next((f"{what}: {old} and {new}" for what, old, new in pairs if old != new), "")


def _lasting(environment: Mapping[str, Any]) -> dict[str, Any]:
    # As JSON reads it back, so that what was recorded here compares equal here.
    found = {key: environment[key] for key in sorted(environment) if key not in PASSING}
    return dict(json.loads(json.dumps(found, default=str)))


def largest_change(old: Baseline, new: Baseline) -> float:
    """The largest relative difference of any recorded number; infinite where one has no counterpart."""
    pairs = [*zip(old.losses, new.losses, strict=False)]
    if len(old.losses) != len(new.losses):
        return math.inf
    for before, after in ((old.metrics, new.metrics), (old.weight_norms, new.weight_norms)):
        if before.keys() != after.keys():
            return math.inf
        pairs += [(before[name], after[name]) for name in before]
    pairs += _steps_of_both(old, new)
    return max((_relative(before, after) for before, after in pairs), default=0.0)


def _steps_of_both(old: Baseline, new: Baseline) -> list[tuple[float, float]]:
    """By seed; none where another loss was to be reached, or it is the first time that one is."""
    before, after = old.convergence, new.convergence
    if not before or not after or before["to"] != after["to"]:
        return []
    return [
        (before["steps"][seed], steps) for seed, steps in after["steps"].items() if seed in before["steps"]
    ]


def _relative(before: float, after: float) -> float:
    if before == after:
        return 0.0
    share = abs(after - before) / abs(before) if before else math.inf
    return math.inf if math.isnan(share) else share

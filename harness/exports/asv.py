"""The recorded history as results of asv, so that `asv compare`, `asv publish` and `asv preview` show it.

One benchmark is a metric of a case, its parameter the backend, its version the case's revision and problem:
asv shows the newest version only. Machines are told apart by name, versions of torch and NumPy by the
environment. asv takes less for better, so what has no such direction stays out.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os.path import relpath
from pathlib import Path
from statistics import median
from typing import Any

from harness.clocks import namesakes
from harness.commits import Commits, read_commits
from harness.exports._asv import MEASURES, Measure, environment_name, machine_name, requirements, version_of
from harness.model import HarnessError, Run

MARK = "written_by_harness_export"
"""The key in `asv.conf.json` that says whose folder it is."""
NEEDED = "export asv: needs asv>=0.6.4: pip install 'asv>=0.6.4'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was handed over. left_out: why runs were not, with how many. notes: what asv will not draw."""

    folder: Path
    results: int
    commits: int
    machines: tuple[str, ...]
    left_out: Mapping[str, int]
    notes: tuple[str, ...] = ()


Place = tuple[str, str, str]
"""Machine, commit and environment: what has a file of results."""


def export(runs: Iterable[Run], folder: Path, repository: Path) -> Exported:
    """Write `asv.conf.json`, `results/benchmarks.json`, and each machine with a file for each commit.

    Args:
        runs: with their samples, where there are any.
        folder: made if missing. What an export wrote there before is replaced.
        repository: that the commits are of.

    Raises:
        HarnessError: asv is not installed, or there is no such repository.
    """
    commits = read_commits(repository)
    kept, left_out = _sorted_out(runs, commits)
    branches, apart = commits.branches_with(commit for _, commit, _ in kept)
    writer = _Writer(folder, commits, branches, [run for group in kept.values() for run in group])
    results = sum(writer.write(place, group) for place, group in kept.items())
    return Exported(
        folder=folder,
        results=results,
        commits=len({commit for _, commit, _ in kept}),
        machines=tuple(sorted({machine for machine, _, _ in kept})),
        left_out=left_out,
        notes=(*_notes(apart, commits), *_shared(kept)),
    )


def _sorted_out(runs: Iterable[Run], commits: Commits) -> tuple[dict[Place, list[Run]], dict[str, int]]:
    kept: dict[Place, list[Run]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for run in runs:
        why = _why_not(run, commits)
        if why:
            left_out[why] += 1
        else:
            kept[machine_name(run), run.environment["commit"], environment_name(run)].append(run)
    return dict(kept), dict(left_out)


def _why_not(run: Run, commits: Commits) -> str:
    commit = run.environment.get("commit")
    if not commit:
        return "of no commit"
    if run.environment.get("dirty") is not False:
        return "with uncommitted changes"
    if commit not in commits.dates:
        return "of commits that are not in the repository (rebased, or a shallow clone)"
    if all(measure.read(run) is None for measure in MEASURES):
        return "without measurements"
    return ""


def _notes(apart: frozenset[str], commits: Commits) -> tuple[str, ...]:
    merged = f"commits that only merges lead to: asv compares them, and does not draw them: {len(apart)}"
    deepen = "the clone is shallow: `git fetch --unshallow` brings the other commits"
    return (*([merged] if apart else ()), *([deepen] if commits.shallow else ()))


def _shared(kept: Mapping[Place, Sequence[Run]]) -> list[str]:
    runs: dict[str, list[Run]] = defaultdict(list)
    for (machine, _, _), group in kept.items():
        runs[machine] += group
    return [
        f"{machine} is several machines of one name, whose starts alternate; give each a host name of its own"
        for machine, group in runs.items()
        if namesakes(group)
    ]


class _Writer:
    """Writes through asv's own classes, so that files are as its version wants them."""

    def __init__(self, folder: Path, commits: Commits, branches: Sequence[str], runs: Sequence[Run]) -> None:
        try:
            from asv import util  # noqa: PLC0415 - only whoever exports has asv
            from asv.config import Config  # noqa: PLC0415
        except ImportError as error:
            raise HarnessError(NEEDED) from error
        self._folder, self._commits = folder, commits
        self._results = folder / "results"
        self._machines: set[str] = set()
        settings = {
            "version": Config.api_version,
            "project": commits.root.name,
            "repo": relpath(commits.root, folder),
            "branches": list(branches),
            "results_dir": "results",
            "html_dir": "html",
            MARK: True,
        }
        _clear(folder)
        util.write_json(str(folder / "asv.conf.json"), settings, Config.api_version)
        self._known = _benchmarks(runs)
        self._save_benchmarks(Config.from_json({**settings, "results_dir": str(self._results)}))

    def _save_benchmarks(self, settings: Any) -> None:
        from asv.benchmarks import Benchmarks  # noqa: PLC0415

        self._results.mkdir(parents=True, exist_ok=True)
        Benchmarks(settings, list(self._known.values())).save()

    def write(self, place: Place, runs: Sequence[Run]) -> int:
        """One file; how many values it holds."""
        from asv.results import Results  # noqa: PLC0415

        machine, commit, name = place
        about, needs = self._machine(machine, runs[-1]), requirements(runs[-1])
        python = str(runs[-1].environment.get("python") or "")
        date = 1000 * self._commits.dates[commit]
        found = Results({**about, "python": python, **needs}, needs, commit, date, python, name, {})
        by_case: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            by_case[run.case].append(run)
        count = sum(self._add(found, measure, group) for group in by_case.values() for measure in MEASURES)
        found.save(str(self._results))
        return count

    def _machine(self, name: str, run: Run) -> dict[str, str]:
        from asv.machine import Machine  # noqa: PLC0415

        known, machine = run.environment, Machine()
        keys = {"os": "kernel", "arch": "architecture", "cpu": "cpu", "num_cpu": "cores", "ram": "memory"}
        about = {word: str(known.get(key) or "") for word, key in keys.items()} | {"machine": name}
        if name not in self._machines:
            vars(machine).update(about)
            machine.save(str(self._results))
            self._machines.add(name)
        return about

    def _add(self, found: Any, measure: Measure, runs: Sequence[Run]) -> int:
        """A metric of a case on all backends that have it; of several versions the newest counts."""
        version = version_of(runs[-1])
        by_backend: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            if version_of(run) == version and measure.read(run) is not None:
                by_backend[run.backend].append(run)
        if not by_backend:
            return 0
        params = [[repr(backend) for backend in sorted(by_backend)]]
        benchmark = {**self._known[f"{runs[0].case}.{measure.name}"], "params": params, "version": version}
        started = datetime.fromtimestamp(min(run.started for run in runs), UTC)
        seconds = sum(run.seconds for run in runs)
        groups = [by_backend[backend] for backend in sorted(by_backend)]
        found.add_result(benchmark, _result(measure, groups), started, seconds, record_samples=True)
        return len(groups)


def _benchmarks(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """What asv knows of each benchmark, by name: a metric of a case, with the version of its newest run."""
    backends: dict[str, set[str]] = defaultdict(set)
    newest: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.started, run.id)):
        newest[run.case] = run
        for measure in MEASURES:
            if measure.read(run) is not None:
                backends[f"{run.case}.{measure.name}"].add(run.backend)
    kinds = {measure.name: measure for measure in MEASURES}
    return {
        name: _benchmark(name, kinds[name.rpartition(".")[2]], sorted(found), newest[name.rpartition(".")[0]])
        for name, found in sorted(backends.items())
    }


def _benchmark(name: str, measure: Measure, backends: Sequence[str], newest: Run) -> dict[str, Any]:
    return {
        "name": name,
        "code": f"{measure.name} of the case {newest.case}, {version_of(newest)}",
        "params": [[repr(backend) for backend in backends]],
        "param_names": ["backend"],
        "type": measure.kind,
        "unit": measure.unit,
        "version": version_of(newest),
    }


def _result(measure: Measure, groups: Sequence[Sequence[Run]]) -> Any:
    """In the form of asv: a value, its samples and how many calls each is of, for each backend."""
    from asv.runner import BenchmarkResult  # noqa: PLC0415

    samples = [_samples(measure, runs) for runs in groups]
    return BenchmarkResult(
        result=[_value(measure, runs) for runs in groups],
        samples=samples,
        number=[1 if found else None for found in samples],
        errcode=0,
        stderr="",
        profile=None,
    )


def _value(measure: Measure, runs: Sequence[Run]) -> float | None:
    """The median of the runs; None, which asv shows as failed, where a number is none."""
    values = [value for run in runs if (value := measure.read(run)) is not None]
    return float(median(values)) if all(map(math.isfinite, values)) else None


def _samples(measure: Measure, runs: Sequence[Run]) -> list[float] | None:
    found = [run.facts.measurements.get(measure.name) for run in runs]
    samples = [sample for each in found if each for sample in each.samples]
    return samples if samples and all(map(math.isfinite, samples)) else None


def _clear(folder: Path) -> None:
    """Remove what an export wrote before.

    Raises:
        HarnessError: there are results that no export wrote.
    """
    found = [*folder.glob("results/*.json"), *folder.glob("results/*/*.json")]
    conf = folder / "asv.conf.json"
    if (found or conf.exists()) and not (conf.is_file() and MARK in conf.read_text(errors="replace")):
        raise HarnessError(f"--out {folder}: holds results of asv that no export wrote; name another folder")
    for path in found:
        path.unlink()

"""Every smoke case as benchmarks, each backend a parameter: time, memory, loss, gradients, parity.

A case's version is its digest: once the case has changed, asv starts a new series. Cases are those of this
checkout, whatever commit is measured; one that an older commit cannot read is skipped there.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from harness.cases import read_cases
from harness.model import Run
from harness.pipeline import night
from harness.spec import Case
from harness.store import open_store

ROOT = Path(__file__).parent.parent
Numbers = dict[str, float]


def smoke_cases() -> list[Case]:
    """The cases that take a second or two."""
    return [case for case in read_cases([ROOT / "cases"]).cases if "smoke" in case.tags]


def numbers_of(run: Run) -> Numbers:
    """Less is better in each; what a run did not tell is absent."""
    measured = {name: found.value for name, found in run.facts.measurements.items()}
    peaks = [value for name, value in measured.items() if name.startswith("peak_memory.")]
    parity = [each.observed for each in run.verdicts if each.check == "matches_reference"]
    errors = [value for value in parity if isinstance(value, float)]
    found = {"step_time": measured["step_time"]} if "step_time" in measured else {}
    found |= {"peak_memory": max(peaks)} if peaks else {}
    found |= {"parity_error": max(errors)} if errors else {}
    return found | _of_the_trace(run)


def _of_the_trace(run: Run) -> Numbers:
    trace = run.facts.trace
    if trace is None or not trace.steps:
        return {}
    total = np.sqrt(np.square(trace.gradient_norm).sum(axis=1))
    ratio, norm = float(trace.loss[-1] / trace.loss[0]), float(np.median(total))
    return {"loss_ratio": ratio} | ({"gradient_norm": norm} if total.any() and np.isfinite(norm) else {})


class _OfCase:
    """One case on all of its backends. It runs once for all numbers, in processes of its own."""

    case: Case
    param_names = ("backend",)
    timeout = 600

    def setup_cache(self) -> dict[str, dict[str, Numbers]]:
        """By case and backend. asv tells caches apart by line, so this one is of all cases."""
        cases = smoke_cases()
        with tempfile.TemporaryDirectory() as folder:
            where = f"{folder}/history.sqlite"
            done = night(cases, where)
            with open_store(where) as store:
                runs = [store.run(run.id) for run in done.runs]
        found: dict[str, dict[str, Numbers]] = {case.name: {} for case in cases}
        for run in runs:
            found[run.case][run.backend] = numbers_of(run)
        return found

    def setup(self, cache: dict[str, dict[str, Numbers]], backend: str) -> None:
        if not cache.get(self.case.name, {}).get(backend):
            raise NotImplementedError

    def track_step_time(self, cache: Any, backend: str) -> float:
        return self._number(cache, backend, "step_time")

    def track_peak_memory(self, cache: Any, backend: str) -> float:
        return self._number(cache, backend, "peak_memory")

    def track_loss_ratio(self, cache: Any, backend: str) -> float:
        return self._number(cache, backend, "loss_ratio")

    def track_gradient_norm(self, cache: Any, backend: str) -> float:
        return self._number(cache, backend, "gradient_norm")

    def track_parity_error(self, cache: Any, backend: str) -> float:
        return self._number(cache, backend, "parity_error")

    def _number(self, cache: dict[str, dict[str, Numbers]], backend: str, name: str) -> float:
        """NaN, which asv shows as skipped, where a run did not tell."""
        return cache[self.case.name][backend].get(name, float("nan"))

    track_step_time.unit = "seconds"  # type: ignore[attr-defined]
    track_peak_memory.unit = "bytes"  # type: ignore[attr-defined]
    track_loss_ratio.unit = "final / first"  # type: ignore[attr-defined]
    track_gradient_norm.unit = "L2"  # type: ignore[attr-defined]
    track_parity_error.unit = "of the reference"  # type: ignore[attr-defined]


def class_name(case: Case) -> str:
    """`cllm-minimal` to `CllmMinimal`: asv takes names of Python."""
    words = "".join(character if character.isalnum() else " " for character in case.name).split()
    return "".join(word[:1].upper() + word[1:] for word in words)


def benchmark_of(case: Case) -> type[_OfCase]:
    """A class of benchmarks."""
    known = {"case": case, "params": (list(case.backends),), "version": case.digest, "__module__": __name__}
    return type(class_name(case), (_OfCase,), known)


globals().update({class_name(case): benchmark_of(case) for case in smoke_cases()})

"""Two recorded commits over 1,000 series (250 cases and backends, four figures each), among thirty others."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from harness.cli import main
from harness.compare_recorded import compare_recorded
from harness.decide import Limits
from harness.model import Answer, Run, Status, Verdict
from harness.sessions import Session
from harness.store import open_store

from .report import a_run, machine, repository

COMMITS, CELLS = 30, 250
METRICS = ("step_time", "startup_time", "peak_memory.train", "held_out_loss")


VERDICTS = tuple(
    Verdict(check=f"check_{each}", status=Status.PASS, message="as expected") for each in range(20)
)


def a_cell(number: int, cell: int, commit: str) -> Run:
    """Four figures of a training that repeats, judged by twenty checks."""
    run = a_run(number, cell, machine(commit))
    facts = replace(run.facts, answers={"repeat": Answer(facts={"weights_equal": True})})
    return replace(
        run, id=f"{number:04}{cell:04}", case=f"case-{cell // 2}", backend=f"{cell % 2}", facts=facts
    )


class Comparison:
    """Asked: 0.5 s, with reading the store and telling what was found."""

    timeout = 600

    def setup_cache(self) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            hashes = repository(folder / "code", COMMITS)
            where = str(folder / "history.sqlite")
            with open_store(where) as store:
                for number, commit in enumerate(hashes):
                    store.begin(Session(id=f"{number:04}", started=float(number)))
                    store.add_many(a_cell(number, cell, commit) for cell in range(CELLS))
            return self.measured(folder / "code", where, hashes[COMMITS // 2], hashes[-1])

    def measured(self, code: Path, where: str, before: str, after: str) -> dict[str, float]:
        limits = Limits(metrics=METRICS)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            done = compare_recorded(where, code, (before, after), limits)
            seconds.append(time.perf_counter() - start)
        assert sum(len(each.findings) for each in done.found) == CELLS * len(METRICS)  # type: ignore[union-attr,misc]
        start = time.perf_counter()
        main(["compare", before, after, "--recorded", "--store", where, "--repo", str(code)])
        return {"comparison": min(seconds), "command": time.perf_counter() - start}

    def track_comparison(self, figures: dict[str, float]) -> float:
        return figures["comparison"]

    def track_command(self, figures: dict[str, float]) -> float:
        return figures["command"]

    track_comparison.unit = track_command.unit = "seconds"  # type: ignore[attr-defined]

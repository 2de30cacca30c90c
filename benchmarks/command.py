"""What a person waits for: the help text, the listing, and a run of the smallest case with its recording."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from harness.cases import load_cases
from harness.pipeline import night

ROOT = Path(__file__).parent.parent
RUNS = 40


def seconds_of(*arguments: str) -> float:
    """Median wall time of a command line over five calls."""
    found = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "harness", *arguments], check=True, capture_output=True, cwd=ROOT
        )
        found.append(time.perf_counter() - start)
    return median(found)


class Command:
    """Seconds of commands that must answer at once."""

    timeout = 120

    def track_help(self) -> float:
        return seconds_of("--help")

    def track_list(self) -> float:
        return seconds_of("list", "cases")

    track_help.unit = track_list.unit = "s"  # type: ignore[attr-defined]


class Runs:
    """Runs of cllm-minimal on torch_eager in a second: two workers, with recording, without server start."""

    timeout = 300

    def track_runs_per_second(self) -> float:
        case = next(case for case in load_cases([ROOT / "cases"]).cases if case.name == "cllm-minimal")
        cases = [replace(case, name=f"run-{number}") for number in range(RUNS)]
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            ends: list[float] = []
            night(
                cases, f"{folder}/history.sqlite", backends=["torch_eager"], workers=2,
                on_run=lambda *_: ends.append(time.perf_counter()),
            )  # fmt: skip
        # From the end of the first pair: by then the server has imported torch, once for all runs.
        return (len(ends) - 2) / (ends[-1] - ends[1])

    track_runs_per_second.unit = "run/s"  # type: ignore[attr-defined]

"""What an isolated process costs: a fork of the warm server against an interpreter that imports torch."""

import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from harness.forkserver import ForkServer, Launch

PRELOAD = ("torch", "torch._dynamo", "harness.worker")
PEAK_SCRIPT = """
import pickle, sys, tempfile
from pathlib import Path
import numpy as np
held = np.ones(600 * 2**17)
sys.path.insert(0, {benchmarks!r})
from isolation import measured_peak
print(measured_peak({size}))
"""


def nothing(_: object) -> None:
    """The job of an empty run."""


def touch(argument: tuple[int, Path]) -> None:
    """Allocate and fill so many bytes; leave the peak that the suite measures."""
    from harness.measure import PhaseMemory  # noqa: PLC0415 - in the child

    size, path = argument
    memory = PhaseMemory()
    held = np.ones(size // 8)
    memory.close("train")
    del held
    path.write_text(str(memory.peaks["train"]))


def call(server: ForkServer, target: str, argument: object = None) -> float:
    """Seconds from asking for a job to knowing that it ended."""
    start = time.perf_counter()
    server.start(
        Launch(id=1, target=f"isolation:{target}", argument=pickle.dumps(argument), log=Path(os.devnull))
    )
    while not server.ended(60):
        pass
    return time.perf_counter() - start


def server_with(*preload: str) -> ForkServer:
    """A server that can import this file."""
    here = str(Path(__file__).parent)
    return ForkServer([*preload, "isolation"], environment={"PYTHONPATH": here})


def measured_peak(size: int) -> int:
    """The peak that the suite measures for a job of so many bytes."""
    with tempfile.TemporaryDirectory() as folder, server_with("numpy") as server:
        path = Path(folder) / "peak"
        call(server, "touch", (size, path))
        return int(path.read_text())


class Isolation:
    """Milliseconds of a run that does nothing, with torch loaded, beside an interpreter that imports it."""

    timeout = 300

    def track_fork_of_a_warm_server(self) -> float:
        with server_with(*PRELOAD) as server:
            call(server, "nothing")
            return 1e3 * median(call(server, "nothing") for _ in range(50))

    def track_fresh_interpreter(self) -> float:
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import torch"], check=True)
            seconds.append(time.perf_counter() - start)
        return 1e3 * median(seconds)

    track_fork_of_a_warm_server.unit = track_fresh_interpreter.unit = "ms"  # type: ignore[attr-defined]


class PeakMemory:
    """Relative error of the measured peak for a job that fills 200 MB while its parent holds 600 MB."""

    timeout = 120

    def track_relative_error(self) -> float:
        size = 200 * 10**6
        script = PEAK_SCRIPT.format(benchmarks=str(Path(__file__).parent), size=size)
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        return abs(int(done.stdout) / size - 1)

    track_relative_error.unit = "ratio"  # type: ignore[attr-defined]

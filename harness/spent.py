"""Where the time of a training goes: the parts of its steps, and how busy it keeps the cores."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.model import Measurement

TASKS = Path("/proc/self/task")


class Clock:
    """Seconds by part of a step. It runs only within steps: what is asked for between them counts nowhere."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._since: float | None = None

    def start(self) -> None:
        """What happens from here on belongs to the next part that ends."""
        self._since = time.perf_counter()

    def end(self, part: str) -> None:
        """End a part; the next one begins."""
        if self._since is not None:
            now = time.perf_counter()
            self.parts[part] = self.parts.get(part, 0.0) + now - self._since
            self._since = now

    def stop(self) -> None:
        """Outside of a step."""
        self._since = None


def time_by_part(parts: Mapping[str, float], steps: int) -> Iterable[Measurement]:
    """time.<part>: mean seconds of a step, from the seconds of all; nothing where there was no step."""
    for part, seconds in parts.items() if steps else ():
        yield Measurement(name=f"time.{part}", value=seconds / steps, unit="s")


class CpuUse:
    """CPU time of this process, from when it is made."""

    def __init__(self) -> None:
        self._threads = _seconds_by_thread()
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def measurements(self, threads: int) -> list[Measurement]:
        """As `cpu_use`; in the samples, the share of each thread that ran."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        now = _seconds_by_thread()
        ran = [seconds - self._threads.get(thread, 0.0) for thread, seconds in now.items()]
        return cpu_use(cpu, wall, threads, tuple(sorted(each / wall for each in ran if each > 0)))


def cpu_use(cpu: float, wall: float, threads: int, shares: tuple[float, ...] = ()) -> list[Measurement]:
    """cpu_use: how many cores were kept busy. cpu_use.per_thread: the share of those that it may use.

    Those are as many as it has threads, or all that there are: eight threads cannot fill two cores twice.

    Args:
        cpu: seconds on all cores together.
        wall: seconds that passed.
        threads: that the case asks for.
        shares: of each thread.
    """
    busy, may = cpu / max(wall, 1e-9), min(threads, len(os.sched_getaffinity(0)))
    return [
        Measurement(name="cpu_use", value=busy, unit=""),
        Measurement(name="cpu_use.per_thread", value=busy / max(may, 1), unit="%", samples=shares),
    ]


def _seconds_by_thread() -> dict[str, float]:
    """CPU seconds of each live thread; none where the kernel does not tell."""
    try:
        return {each.name: int((each / "schedstat").read_text().split()[0]) / 1e9 for each in TASKS.iterdir()}
    except (OSError, IndexError, ValueError):
        return {}

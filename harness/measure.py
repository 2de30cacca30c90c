"""Peak memory by phase, and where a run stands; for the process that trains."""

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.model import Measurement

_STEP = struct.Struct("<q")
_PHASE_BYTES = 32
CGROUP = Path("/sys/fs/cgroup")
OUT_OF_MEMORY = ("allocate memory", "bad_alloc", "out of memory")
"""What frameworks say in errors of their own kinds when there is no memory left."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_statm: tuple[int, int] | None = None


def resident_bytes() -> int:
    """Resident memory of this process."""
    global _statm  # noqa: PLW0603 - the file stays open: opening it costs more than reading it
    if _statm is None or _statm[0] != os.getpid():
        _statm = (os.getpid(), os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC))
    return int(os.pread(_statm[1], 64, 0).split()[1]) * _PAGE


def peak_bytes() -> int:
    """Highest resident memory since the last `reset_peak` (VmHWM), less pages of files (RssFile, as of now).

    Those are above all the code of libraries: shared, taken back when room is needed, and mapped only as it
    first runs, so that torch's would add 25 MB to the first training. Never `ru_maxrss`: it survives exec and
    reports the parent's peak.
    """
    peak, files = _status("VmHWM", "RssFile")
    return peak - files


def _status(*names: str) -> list[int]:
    """Quantities of /proc/self/status in bytes."""
    with Path("/proc/self/status").open() as lines:
        found = dict(line.split(":", 1) for line in lines)
    return [int(found[name].split()[0]) * 1024 for name in names]


def program_peak(pid: int | str = "self") -> int:
    """Peak resident memory of a program since it was started (VmHWM); 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def reset_peak() -> None:
    """Let the peak start again from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


class PhaseMemory:
    """Peak memory of each phase above a baseline that was taken after imports."""

    def __init__(self) -> None:
        reset_peak()
        self.baseline = peak_bytes()
        self.peaks: dict[str, int] = {}

    def close(self, phase: str) -> None:
        """End a phase: keep its peak, begin the next one."""
        self.peaks[phase] = max(self.peaks.get(phase, 0), peak_bytes() - self.baseline)
        reset_peak()

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """What happens meanwhile belongs to no phase; what it leaves in memory, to the baseline."""
        reset_peak()
        before = peak_bytes()
        yield
        reset_peak()
        self.baseline += max(0, peak_bytes() - before)

    def measurements(self) -> list[Measurement]:
        """One measurement a phase, in bytes."""
        return [
            Measurement(name=f"peak_memory.{phase}", value=float(peak), unit="B")
            for phase, peak in self.peaks.items()
        ]


@dataclass(frozen=True, slots=True)
class Standing:
    """The last phase a run entered, and the last step it began (-1: none)."""

    phase: str
    step: int

    def where(self, steps: int) -> str:
        """For messages: `in phase train at step 3 of 28`."""
        return f"in phase {self.phase}" + (f" at step {self.step} of {steps}" if self.step >= 0 else "")


class Progress:
    """A few bytes of shared memory, so that the runner knows where a run stood when it died.

    No system call a step.
    """

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_PHASE_BYTES + _STEP.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self.enter("start")

    def enter(self, phase: str) -> None:
        """Begin a phase."""
        self._memory[:_PHASE_BYTES] = phase.encode().ljust(_PHASE_BYTES, b"\0")
        self.step(-1)

    def step(self, number: int) -> None:
        """Begin a step."""
        _STEP.pack_into(self._memory, _PHASE_BYTES, number)

    @staticmethod
    def read(path: Path) -> Standing:
        """Where a run stands; phase `start` when it has not begun."""
        try:
            content = path.read_bytes()
            phase = content[:_PHASE_BYTES].rstrip(b"\0").decode()
            return Standing(phase or "start", _STEP.unpack_from(content, _PHASE_BYTES)[0])
        except (OSError, struct.error):
            return Standing("start", -1)


def limit_memory(extra: int) -> None:
    """Let this process allocate at most `extra` bytes more than it has now (RLIMIT_DATA).

    RLIMIT_AS would count the address space that frameworks reserve and never touch.
    """
    import resource  # noqa: PLC0415 - not on every platform

    (data,) = _status("VmData")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = data + extra
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def lift_memory_limit() -> None:
    """Undo `limit_memory`: what ran out of memory may hold all of it still, and its report needs some."""
    import resource  # noqa: PLC0415 - not on every platform

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def free_memory() -> int:
    """Bytes that the system can still give out, or its container where that is less."""
    import psutil  # noqa: PLC0415 - only the runner asks

    available = int(psutil.virtual_memory().available)
    room = _room_in_container()
    return available if room is None else min(available, room)


def _room_in_container() -> int | None:
    """What the control group at the top of this file system may still take; files in memory give way."""
    try:
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        statistics = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # there is none, or its limit is the word `max`
        return None
    return max(0, limit - used + int(statistics.get("inactive_file", 0)))


def drop_caches() -> None:
    """Return freed heap pages to the system, so that the next phase does not inherit them."""
    import ctypes  # noqa: PLC0415 - only here
    import gc  # noqa: PLC0415 - only here

    gc.collect()
    if hasattr(os, "sched_getaffinity"):
        ctypes.CDLL(None).malloc_trim(0)

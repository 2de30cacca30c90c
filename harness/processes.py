"""Ends processes for certain: a job's group, all descendants, what is left of a session. Linux only."""

import contextlib
import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of descendants whose parents die, so that none gets out of sight."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Be killed when the parent of this id dies, or leave at once if it is dead already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def kill_group(group: int) -> None:
    """Kill all members of a process group, in one go, so that none of them can fork its way out."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def dead_child() -> int | None:
    """A child that can be waited for, but was not yet; 0 if all are alive, None if there are none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return 0 if found is None else found.si_pid


def kill_descendants() -> None:
    """Kill and wait for all descendants; again, until those that came meanwhile are gone too."""
    import psutil  # noqa: PLC0415 - at the end only

    while dead_child() is not None:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        os.waitpid(-1, 0)


def kill_session(session: int) -> None:
    """Kill what is left of a session whose leader is dead; again, until nothing new has come."""
    import psutil  # noqa: PLC0415 - only when something broke

    killed: set[int] = set()
    while found := {pid for pid in psutil.pids() if _session_of(pid) == session} - killed:
        killed |= found
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None

"""A process that has imported the frameworks and run no kernel, and forks one child a job.

A run of torch then costs milliseconds of isolation in place of more than a second of imports. The server
leads a session of its own and each child a process group in it, so that a job is killed whole. When the owner
disappears, however it dies, the server reads the end of its pipe, kills all its descendants and leaves:
orphans become its children, even those that made a session of their own. When the server disappears, its
children die with it, and the owner kills what is left of the session.
"""

import contextlib
import faulthandler
import gc
import os
import pickle
import pkgutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, NoReturn, Self

from harness.measure import limit_memory
from harness.model import BrokenError
from harness.processes import adopt_orphans, dead_child, die_with, kill_descendants, kill_group, kill_session

READY = "ready"
"""What the server says once it has imported everything, before any `Ended`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """A call to make in a child: `module:function` with one argument, which is pickled apart.

    log: file that takes standard output and error. memory: bytes that it may allocate.
    """

    id: int
    target: str
    argument: bytes
    log: Path
    memory: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A child is gone: its exit code, or the signal that killed it."""

    id: int
    code: int | None
    signal: int | None


class ForkServer:
    """The owner's side. Use as a context manager.

    preload: a `module` to import, or a `module:function` to call, before the first fork; none has to exist.
    """

    def __init__(self, preload: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self._preload = tuple(preload)
        self._environment = {**os.environ, **(environment or {})}
        self._connection, self._process = self._begin()
        self._ready = False

    def __enter__(self) -> Self:
        """The server is ready to take jobs; it may still be importing."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the server and all its children."""
        self.close()

    @property
    def pid(self) -> int:
        """The server's process id, which is also that of its session."""
        return self._process.pid

    def start(self, launch: Launch) -> None:
        """Begin a job. The first call waits for the server's imports: no job's time may run before.

        Raises:
            BrokenError: the server is gone.
        """
        self._await_imports()
        self._send(("start", launch))

    def kill(self, job: int) -> None:
        """Kill a job's whole process group; its `Ended` follows. One that has ended is passed over."""
        self._send(("kill", job))

    def ended(self, timeout: float | None) -> list[Ended]:
        """Jobs that ended, waiting at most `timeout` seconds for the first.

        Raises:
            BrokenError: the server itself is gone, and with it every job that ran.
        """
        found: list[Ended] = []
        try:
            while self._connection.poll(timeout if not found else 0):
                found.append(self._connection.recv())
        except (EOFError, OSError) as error:
            if found:
                return found
            raise self._gone() from error
        return found

    def close(self) -> None:
        """End the server and whatever still runs in its session."""
        self._connection.close()
        if not self._ready:  # still importing, so that no job can be lost
            self._process.kill()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode != 0:
            kill_session(self.pid)

    def _begin(self) -> tuple[Connection, "subprocess.Popen[bytes]"]:
        ours, theirs = Pipe()
        command = [sys.executable, "-m", "harness.forkserver", str(theirs.fileno()), *self._preload]
        # Its own session: Ctrl-C in the terminal reaches the owner alone, who decides about the jobs.
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            env=self._environment,
        )
        theirs.close()
        return ours, process

    def _await_imports(self) -> None:
        try:
            self._ready = self._ready or self._connection.recv() == READY
        except (EOFError, OSError) as error:
            raise self._gone() from error

    def _send(self, message: tuple[str, Any]) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> BrokenError:
        try:
            code = self._process.wait(1)  # its pipe closes a moment before it can be waited for
        except subprocess.TimeoutExpired:
            fate = "closed its pipe"
        else:
            fate = f"left with exit code {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"
        return BrokenError(f"fork server: {fate}, expected it to outlive its jobs; what ran is lost")


@dataclass(slots=True)
class _Server:
    """The server's side: one loop over the owner's messages and the deaths of children."""

    connection: Connection
    deaths: socket.socket
    wakeup: socket.socket
    children: dict[int, int] = field(default_factory=dict)
    """Process id by job id, of those that were not waited for yet."""

    def serve(self) -> None:
        """Until the owner is gone."""
        try:
            while True:
                for ready in wait([self.connection, self.deaths]):
                    if ready is self.connection:
                        self._obey(*self.connection.recv())
                    else:
                        self.deaths.recv(4096)
                    self._bury()
        except (EOFError, OSError):
            pass
        finally:
            for job in self.children:
                self._kill(job)
            kill_descendants()

    def _obey(self, order: str, what: Any) -> None:
        if order == "start":
            self._fork(what)
        else:
            self._kill(what)

    def _fork(self, launch: Launch) -> None:
        server, child = os.getpid(), os.fork()
        if child == 0:
            _live(launch, server, close=self._leave)
        # In both processes: whoever comes first makes the group, so that a kill cannot come too early.
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        self.children[launch.id] = child

    def _leave(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for inherited in (self.connection, self.deaths, self.wakeup):
            inherited.close()

    def _kill(self, job: int) -> None:
        # A child that was not waited for keeps the number of its group: it cannot be a stranger's.
        if job in self.children:
            kill_group(self.children[job])

    def _bury(self) -> None:
        jobs = {child: job for job, child in self.children.items()}
        while dead := dead_child():
            if dead in jobs:
                self._kill(jobs[dead])  # what the job left behind in its group
            _, status = os.waitpid(dead, 0)
            if dead in jobs:
                del self.children[jobs[dead]]
                self.connection.send(_ended(jobs[dead], status))


def _ended(job: int, status: int) -> Ended:
    code = os.waitstatus_to_exitcode(status)
    return Ended(id=job, code=code if code >= 0 else None, signal=-code if code < 0 else None)


def _live(launch: Launch, server: int, close: Callable[[], None]) -> NoReturn:
    """Be the child: one call, then out, without the cleanup that belongs to the server."""
    code = 1
    try:
        die_with(server)
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        close()
        _redirect(launch.log)
        faulthandler.enable()
        if launch.memory is not None:
            limit_memory(launch.memory)
        pkgutil.resolve_name(launch.target)(pickle.loads(launch.argument))  # noqa: S301 - our owner's
        code = 0
    except SystemExit as leaving:
        code = _exit_code(leaving.code)
    except BaseException:  # noqa: BLE001 - the log keeps it, the exit code says so
        import traceback  # noqa: PLC0415 - rarely

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _exit_code(code: object) -> int:
    """As the interpreter does it: nothing means success, a text is printed and means failure."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def _redirect(log: Path) -> None:
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    for descriptor in (1, 2):
        os.dup2(target, descriptor)
    os.close(target)


def _serve(descriptor: int, preload: Sequence[str]) -> None:
    adopt_orphans()
    os.set_inheritable(descriptor, False)
    for name in preload:
        # Importing early is for speed alone: the job that needs a broken module meets the error itself.
        with contextlib.suppress(Exception):
            found = pkgutil.resolve_name(name)
            if ":" in name:
                found()
    # A collection in a child would touch, and so copy, every page that the imports filled.
    gc.collect()
    gc.freeze()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(theirs.fileno())
    server = _Server(connection=Connection(descriptor), deaths=ours, wakeup=theirs)
    with contextlib.suppress(OSError):  # the owner is gone already; `serve` will see it
        server.connection.send(READY)
    server.serve()


if __name__ == "__main__":
    # Run as __main__; serve from the imported module, so that pickles name the same classes on both sides.
    from harness import forkserver  # noqa: PLW0406

    forkserver._serve(int(sys.argv[1]), sys.argv[2:])  # noqa: SLF001 - itself

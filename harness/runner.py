"""Runs jobs in isolated processes, several at a time, and tells how each ended. Judges nothing."""

import math
import os
import pickle
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.backends import Backend
from harness.codec import read_facts
from harness.discover import get, plugins, working
from harness.forkserver import Ended, ForkServer, Launch
from harness.measure import OUT_OF_MEMORY, Progress, free_memory
from harness.model import BrokenError, Facts, Outcome
from harness.spec import Case
from harness.worker import Job

LOG_LINES = 20
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OMP_WAIT_POLICY": "PASSIVE", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
"""Of the fork server. Waiting threads give way: spinning ones starve their own team when cores are shared.

Inductor compiles in the run itself: processes that compile would be started before the first fork.
"""
SHARE_OF_FREE_MEMORY = 0.9
"""What runs without a limit of their own may take together."""
LOG_TAIL = 16_384
"""Bytes at the end of a log that are looked at."""
LOG_BYTES = 64 << 20
"""A longer log is cut to its tail: a full disk would hurt everybody."""
LOOK_SECONDS = 1.0
"""Between two looks at the logs of what runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One case on one backend, to be run, with the name of a fault to inject if there is one."""

    case: Case
    backend: str
    fault: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A task that ran, or could not, with its facts."""

    task: Task
    started: float
    seconds: float
    facts: Facts


@dataclass(slots=True)
class _Running:
    job: Job
    task: Task
    began: float = field(default_factory=time.monotonic)
    started: float = field(default_factory=time.time)
    killed: bool = False


@dataclass(slots=True)
class Runner:
    """Runs tasks in order, as many at a time as `workers` has room for.

    cache: a folder for what depends on problems alone. A task takes as much room as it has threads: two
    trainings that spin on the same cores slow each other down a hundredfold, and a time measured so would be
    a lie. A task wider than all workers runs alone.
    """

    workers: int = 1
    cache: Path | None = None
    _running: dict[int, _Running] = field(default_factory=dict)
    _number: int = 0
    _asked: deque[Task] = field(default_factory=deque)
    _server: Generator[Finished] | None = None

    def run(self, tasks: Sequence[Task]) -> Generator[Finished]:
        """Each task's end, as it comes. Closing the iterator early kills what still runs."""
        waiting = deque(tasks)
        yield from (_without_running(task, why, outcome) for task, why, outcome in _pop_impossible(waiting))
        while waiting or self._running:
            yield from self._with_one_server(waiting)

    def ask(self, task: Task, likely: Sequence[Task] = ()) -> Finished:
        """One task, now; its server stays for the next one, until `close`.

        likely: tasks that may follow. What they need is imported before the server's first fork.
        """
        for _, why, outcome in _pop_impossible(deque([task])):
            return _without_running(task, why, outcome)
        self._asked.append(task)
        finished = next(self._server, None) if self._server else None
        if finished is None:
            self._running.clear()  # what ended the last server ended its jobs
            self._server = self._with_one_server(self._asked, likely)
            finished = next(self._server)
        return finished

    def close(self) -> None:
        """End the server that `ask` left, and what it runs."""
        if self._server:
            self._server.close()

    def _with_one_server(self, waiting: deque[Task], likely: Sequence[Task] = ()) -> Generator[Finished]:
        memory = int(free_memory() * SHARE_OF_FREE_MEMORY / max(self.workers, 1))
        with (
            # A job that was killed a moment ago may still write: that must not turn an end into an error.
            tempfile.TemporaryDirectory(prefix="harness-", ignore_cleanup_errors=True) as scratch,
            ForkServer(
                preload_for([*waiting, *(task for task in likely if impossible(task) is None)]),
                environment=ENVIRONMENT,
            ) as server,
        ):
            try:
                while waiting or self._running:
                    while waiting and self._has_room(waiting[0]):
                        self._start(server, waiting.popleft(), Path(scratch), memory)
                    for ended in server.ended(self._patience()):
                        yield self._finish(ended)
                    self._kill_late(server)
                    self._cut_logs()
            except BrokenError as error:
                # The server is gone with its jobs; they are reported, and a new server takes the rest.
                yield from self._lost(str(error))

    def _has_room(self, task: Task) -> bool:
        taken = sum(_cores(run.task) for run in self._running.values())
        return not self._running or taken + _cores(task) <= self.workers

    def _start(self, server: ForkServer, task: Task, scratch: Path, memory: int) -> None:
        self._number += 1
        folder = scratch / str(self._number)
        folder.mkdir()
        job = Job(case=task.case, backend=task.backend, scratch=folder, cache=self.cache, fault=task.fault)
        launch = Launch(
            id=self._number,
            target="harness.worker:main",
            argument=pickle.dumps(job),
            log=job.log_path,
            memory=task.case.memory_limit or memory,
        )
        # Before it starts: if the server is gone, this task is among those that are lost.
        run = self._running[self._number] = _Running(job=job, task=task)
        server.start(launch)
        run.began, run.started = time.monotonic(), time.time()  # the server's imports are over now

    def _patience(self) -> float:
        ends = [run.began + run.task.case.timeout for run in self._running.values() if not run.killed]
        return min(LOOK_SECONDS, max(0.0, min(ends, default=math.inf) - time.monotonic()))

    def _kill_late(self, server: ForkServer) -> None:
        now = time.monotonic()
        for number, run in self._running.items():
            if not run.killed and now >= run.began + run.task.case.timeout:
                run.killed = True
                server.kill(number)

    def _cut_logs(self) -> None:
        for run in self._running.values():
            with suppress(OSError):
                if run.job.log_path.stat().st_size > LOG_BYTES:
                    _cut(run.job.log_path)

    def _finish(self, ended: Ended) -> Finished:
        run = self._running.pop(ended.id)
        try:
            return _finished(run, _facts_of(run, ended))
        finally:
            shutil.rmtree(run.job.scratch, ignore_errors=True)

    def _lost(self, why: str) -> Iterator[Finished]:
        for number in tuple(self._running):
            run = self._running.pop(number)
            standing = Progress.read(run.job.progress_path)
            message = f"{why}; it stood {standing.where(run.task.case.config.steps)}"
            yield _finished(run, Facts(outcome=Outcome.BROKEN, phase=standing.phase, message=message))


def _cores(task: Task) -> int:
    backend: Backend = get("backends", task.backend)()
    return backend.cores(task.case.config)


def preload_for(tasks: Sequence[Task] | deque[Task]) -> list[str]:
    """Modules that the runs of these tasks will need; plugins too, so that no child loads a file."""
    backends = [get("backends", name) for name in dict.fromkeys(task.backend for task in tasks)]
    ours = [cls.__module__ for kind in ("checks", "probes") for cls in working(kind).values()]
    ours += [backend.__module__ for backend in backends]
    theirs = [name for backend in backends for name in backend.preload]
    return list(dict.fromkeys(["harness.worker:prepare", *ours, *theirs]))


def impossible(task: Task) -> tuple[str, Outcome] | None:
    """Why a task cannot run here, if it cannot."""
    plugin = plugins("backends").get(task.backend)
    if plugin is not None and plugin.error:
        return f"backend '{task.backend}' cannot be loaded: {plugin.error}", Outcome.BROKEN
    backend = get("backends", task.backend)
    try:
        return _objection(backend(), task.case)
    except Exception as error:  # noqa: BLE001 - a broken plugin must hurt nothing else
        return f"backend '{task.backend}' cannot be asked: {type(error).__name__}: {error}", Outcome.BROKEN


def _objection(backend: Backend, case: Case) -> tuple[str, Outcome] | None:
    if why := backend.misfit(case):
        return why, Outcome.UNSUPPORTED
    if why := backend.unavailable_for(case):
        return why, Outcome.UNAVAILABLE
    if why := backend.unsupported(case):
        return why, Outcome.UNSUPPORTED
    return None


def _pop_impossible(waiting: deque[Task]) -> Iterator[tuple[Task, str, Outcome]]:
    for _ in range(len(waiting)):
        task = waiting.popleft()
        why = impossible(task)
        if why is None:
            waiting.append(task)
        else:
            yield task, *why


def _without_running(task: Task, why: str, outcome: Outcome) -> Finished:
    return Finished(task=task, started=time.time(), seconds=0.0, facts=Facts(outcome=outcome, message=why))


def _finished(run: _Running, facts: Facts) -> Finished:
    return Finished(task=run.task, started=run.started, seconds=time.monotonic() - run.began, facts=facts)


def _facts_of(run: _Running, ended: Ended) -> Facts:
    log = _log_of(run)
    if not run.killed and run.job.facts_path.exists():
        try:
            facts = read_facts(run.job.facts_path)
        except BrokenError as error:
            return Facts(outcome=Outcome.BROKEN, message=str(error), detail=log)
        return facts if facts.outcome is Outcome.COMPLETED else replace(facts, detail=facts.detail + log)
    standing = Progress.read(run.job.progress_path)
    outcome, message = _fate(run, ended, log)
    message = f"{message} {standing.where(run.task.case.config.steps)}"
    return Facts(outcome=outcome, phase=standing.phase, message=message, detail=log)


def _fate(run: _Running, ended: Ended, log: str) -> tuple[Outcome, str]:
    if run.killed:
        return Outcome.TIMEOUT, f"stopped after its time limit of {run.task.case.timeout:.4g} s"
    if ended.signal == signal.SIGKILL:
        return Outcome.OUT_OF_MEMORY, "killed by the system (SIGKILL), most likely out of memory,"
    if ended.signal == signal.SIGABRT and any(words in log for words in OUT_OF_MEMORY):
        return Outcome.OUT_OF_MEMORY, "aborted for lack of memory"
    if ended.signal is not None:
        return Outcome.CRASHED, f"crashed with {signal.Signals(ended.signal).name}"
    return Outcome.CRASHED, f"left with exit code {ended.code} and no result"


def _log_of(run: _Running) -> str:
    try:
        text = _tail(run.job.log_path).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-LOG_LINES:])


def _tail(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL))
        return file.read()


def _cut(log: Path) -> None:
    """Leave only the end of a log that its writers append to."""
    tail = _tail(log)
    with log.open("ab") as file:
        file.truncate(0)
        file.write(tail)

"""The other processes of a distributed training, and how rank 0 drives them. Imports torch.

Rank 0 is the process that trains. It tells the others what to do through pipes, does the same itself, and
waits for their answers; among each other the ranks speak gloo. A rank that dies, fails or falls silent ends
in one error: its end of the connection closes, which also wakes those who wait for it in a collective one.
"""

import atexit
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import distributed

from harness.model import BrokenError
from harness.processes import die_with

PATIENCE = 60.0
"""Seconds that a rank may stay silent."""
START_PATIENCE = 300.0
"""Seconds that a new rank may take: a fresh interpreter imports torch, on a machine that may be busy."""
Serve = Callable[[str, Sequence[Any]], Any]
"""What a rank does with an order: its name and arguments, to the answer."""


class Ranks:
    """The ranks from 1 on, seen from rank 0. current: those of this process, whose group there is one of.

    number: of all ranks, this process included. server: `module:function` that makes each one's `Serve`.
    """

    current: ClassVar["Ranks | None"] = None

    def __init__(self, number: int, threads: int, server: Callable[[], Serve]) -> None:
        self.number, self.threads, self.broken = number, threads, False
        # Threads do not survive a fork, and the locks that they held do: then a fresh interpreter it is.
        alone = len(list(Path("/proc/self/task").iterdir())) == 1
        context: Any = multiprocessing.get_context("fork" if alone else "spawn")
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            store = str(Path(folder, "store"))
            for rank in range(1, number):
                ours, theirs = context.Pipe()
                given = (theirs, rank, number, store, threads, PATIENCE, os.getpid(), server)
                process = context.Process(target=_live, args=given, daemon=True)
                process.start()
                theirs.close()
                self._pipes.append(ours)
                self._processes.append(process)
            for rank in range(1, number):
                self._answer(rank, "start", START_PATIENCE)
            self._together(lambda: _join(0, number, store, PATIENCE), "join")

    @classmethod
    def start(cls, number: int, threads: int, server: Callable[[], Serve]) -> Self:
        """The ranks of this process: those that there are, if they are as wanted and sound, or new ones."""
        held = cls.current
        if held is None or held.broken or (held.number, held.threads) != (number, threads):
            cls.stop()
            held = cls.current = cls(number, threads, server)
        assert isinstance(held, cls)
        return held

    @classmethod
    def stop(cls) -> None:
        """End the ranks of this process."""
        held, cls.current = cls.current, None
        if held is not None:
            held.end()

    def order(self, local: Callable[[], Any], name: str, arguments: Sequence[Sequence[Any]]) -> list[Any]:
        """Let every rank do something at once; what each answers. arguments: of each rank from 1 on.

        Raises:
            BrokenError: a rank died, failed or stayed silent.
        """
        for rank, (pipe, given) in enumerate(zip(self._pipes, arguments, strict=True), 1):
            try:
                pipe.send((name, given))
            except OSError as error:
                raise self._lost(name, rank) from error
        return self._together(local, name)

    def end(self) -> None:
        """End them for certain, and leave the group."""
        self.broken = True
        for process, pipe in zip(self._processes, self._pipes, strict=True):
            pipe.close()
            process.kill()
            process.join()
        with suppress(Exception):  # the others are gone: there may be nobody to say goodbye to
            distributed.destroy_process_group()

    def _together(self, local: Callable[[], Any], name: str) -> list[Any]:
        try:
            mine = local()
        except RuntimeError as error:
            self.broken = True
            rank = self._first_lost()
            raise (self._lost(name, rank) if rank else error) from error
        return [mine, *(self._answer(rank, name) for rank in range(1, self.number))]

    def _answer(self, rank: int, name: str, patience: float | None = None) -> Any:
        pipe = self._pipes[rank - 1]
        try:
            if not pipe.poll(PATIENCE if patience is None else patience):
                raise self._lost(name, rank)
            answer, failure = pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost(name, rank) from error
        if failure:
            self.broken = True
            raise BrokenError(f"rank {rank} of {self.number}: {failure}, in '{name}'")
        return answer

    def _first_lost(self) -> int:
        """The first rank that has died, failed, or not answered; 0 where all have answered well."""
        for rank, (process, pipe) in enumerate(zip(self._processes, self._pipes, strict=True), 1):
            process.join(1.0)
            if not process.is_alive() or not pipe.poll(0):
                return rank
        return 0

    def _lost(self, name: str, rank: int) -> BrokenError:
        """What became of a rank, in words."""
        self.broken = True
        process, pipe = self._processes[rank - 1], self._pipes[rank - 1]
        process.join(1.0)
        with suppress(EOFError, OSError):
            if pipe.poll(0) and (failure := pipe.recv()[1]):
                return BrokenError(f"rank {rank} of {self.number}: {failure}, in '{name}'")
        if process.exitcode is None:
            fate = f"no answer within {PATIENCE:.4g} s"
        elif process.exitcode < 0:
            fate = f"died of {signal.Signals(-process.exitcode).name}"
        else:
            fate = f"left with exit code {process.exitcode}"
        return BrokenError(f"rank {rank} of {self.number}: {fate}, in '{name}'")


atexit.register(Ranks.stop)


def _join(rank: int, number: int, store: str, patience: float) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # the ranks are all here; a machine's name may lead nowhere
    distributed.init_process_group(
        "gloo",
        init_method=Path(store).as_uri(),
        rank=rank,
        world_size=number,
        timeout=timedelta(seconds=patience),
    )


def _live(  # noqa: PLR0913, PLR0917 - what a process is started with
    pipe: Connection,
    rank: int,
    number: int,
    store: str,
    threads: int,
    patience: float,
    parent: int,
    server: Callable[[], Serve],
) -> None:
    """Be a rank until rank 0 is gone or an order fails."""
    die_with(parent)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    pipe.send((None, ""))
    _join(rank, number, store, patience)
    serve = server()
    pipe.send((None, ""))
    with suppress(EOFError, OSError):
        while True:
            name, arguments = pipe.recv()
            try:
                answer = serve(name, arguments)
            except Exception as error:  # noqa: BLE001 - told to rank 0, and the end of this one
                pipe.send((None, f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]))
                os._exit(1)  # at once: whoever waits for this rank in a collective operation must wake up
            pipe.send((answer, ""))

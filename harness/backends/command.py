"""Any program in any language: started as it is, and judged by what it prints."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import ClassVar, Self

from harness.backends import Program
from harness.backends._asked import asked_digest
from harness.backends._logged import facts_of_log
from harness.backends._places import expected_rates, lacking_packages, places
from harness.logs import Log, UnreadableError, read_log, read_series
from harness.measure import Progress, program_peak
from harness.model import Anchors, BrokenError, Facts, HarnessError, Outcome, ProblemFacts
from harness.programs import CommandModel, filled
from harness.spec import Case
from harness.spent import cpu_use

LONGEST_LINE = 1 << 20
MOST_BYTES = 256 << 20
"""A program that prints more has lost its way."""
ECHOED = 1 << 20
"""So much of the output goes into the run's own log."""
LOOK_SECONDS = 0.002
"""Between two looks at a program's memory."""
LOOKED_AT = 20
"""Last lines among which the reason of a failure is looked for."""
REASON = re.compile(
    r"error|exception|cannot|can't|could not|fail|no such|not found|denied|abort|fatal", re.IGNORECASE
)
PATIENCE = 5.0
"""Seconds that a program may take to end once it has closed its output."""


class Command(Program):
    """Reads loss, learning rate and more from a program's output; probes cannot ask it anything."""

    models: ClassVar[tuple[type, ...]] = (CommandModel,)

    def unsupported(self, case: Case) -> str:
        """Which packages the program needs that are not here."""
        assert isinstance(case.model, CommandModel)
        return lacking_packages(case.model.needs)

    def record(self, case: Case, scratch: Path, progress: Progress) -> Facts:
        """Run the program to its end, and read what it said."""
        model = case.model
        assert isinstance(model, CommandModel)
        values = places(case, scratch)
        progress.enter("train")
        with _Running(_started(case, model, values)) as running:
            found = read_log(running.lines(), model.log, model.pattern)
            running.finish()
        if model.series:
            found = _series(case, filled(model.series, values), found)
        progress.enter("done")
        if running.code:
            return _left_early(running, found, case)
        used = cpu_use(running.cpu, running.seconds, case.config.threads)
        problem = _problem(case, model)
        return facts_of_log(found, problem, seconds=running.seconds, peak=running.peak, used=used)


@dataclass(slots=True)
class _Running:
    """A program that runs: its lines as they come, its code or signal, its time, CPU time and peak memory.

    tail: the last lines that are not empty.
    """

    process: "subprocess.Popen[bytes]"
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0
    cpu: float = field(default_factory=lambda: -_cpu_of_programs())
    peak: int = 0
    code: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=LOOKED_AT))

    def __enter__(self) -> Self:
        """Begin to look at its memory; nobody tells its peak once it is gone."""
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """It is over, whatever happened here."""
        self.process.kill()
        with self.process:
            pass

    def lines(self) -> Iterator[str]:
        """What it prints, to both outputs."""
        assert self.process.stdout is not None
        total = 0
        while line := self.process.stdout.readline(LONGEST_LINE):
            total += len(line)
            if total > MOST_BYTES:
                raise BrokenError(
                    f"the program printed more than {MOST_BYTES >> 20} MiB, expected a line a step"
                )
            text = line.decode(errors="replace").rstrip("\r\n")
            if total < ECHOED:
                sys.stdout.write(f"{text}\n")
            if text.strip():
                self.tail.append(text.strip()[:200])
            yield text
        sys.stdout.flush()

    @property
    def last(self) -> str:
        """Its last words: what sounds like a reason, for what it printed of its steps may come after it."""
        reasons = [line for line in self.tail if REASON.search(line)]
        return (reasons or [*self.tail] or [""])[-1]

    def finish(self) -> None:
        """Wait for its end.

        Raises:
            BrokenError: it closed its output and lives on.
        """
        try:
            self.code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise BrokenError(
                f"the program closed its output and went on for {PATIENCE:.0f} s, expected it to end"
            ) from None
        self.seconds = time.perf_counter() - self.began
        self.cpu += _cpu_of_programs()

    def _watch(self) -> None:
        while self.process.returncode is None:
            self.peak = max(self.peak, program_peak(self.process.pid))
            time.sleep(LOOK_SECONDS)


def _started(case: Case, model: CommandModel, values: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    folder = case.path.parent.resolve()
    command = [filled(text, dict(values)) for text in model.command]
    command[0] = _program(command[0], folder)
    try:
        return subprocess.Popen(  # noqa: S603 - the case names the program; cases are trusted, the README says so
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HARNESS_CASE": values["case"], "PYTHONUNBUFFERED": "1"},
        )
    except OSError as error:
        raise HarnessError(
            f"{case.path}: model.command: cannot start '{command[0]}': {error.strerror}"
        ) from error


def _program(name: str, folder: Path) -> str:
    """A name without a slash is looked for on the path; another one in the case's folder."""
    if name in ("python", "python3"):
        return sys.executable  # the one that has what the suite has
    if "/" in name:
        return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise HarnessError(
            f"model.command: no program '{name}' on the path; expected one, or a path such as ./{name}"
        )
    return found


def _series(case: Case, name: str, said: Log) -> Log:
    path = case.path.parent.resolve() / name
    try:
        found = read_series(path.read_text(errors="replace"), path.suffix)
    except OSError as error:
        raise BrokenError(
            f"model.series: '{name}': {error.strerror}; expected the program to write it"
        ) from error
    except UnreadableError as error:
        raise BrokenError(f"model.series: '{name}' {error}") from error
    found.not_ok = said.not_ok
    return found


def _left_early(running: _Running, found: Log, case: Case) -> Facts:
    code = running.code
    fate = f"died of {signal.Signals(-code).name}" if code < 0 else f"left with exit code {code}"
    seen = len([entry for entry in found.entries if "loss" in entry.numbers])
    last = f"; its last line: {running.last}" if running.last else ""
    message = f"the program {fate} after {seen} of {case.config.steps} steps{last}"
    return Facts(outcome=Outcome.CRASHED, phase="train", message=message)


def _problem(case: Case, model: CommandModel) -> ProblemFacts:
    config = case.config
    uniform = None if model.vocabulary is None else log(model.vocabulary)
    return ProblemFacts(
        digest=asked_digest(case), vocabulary=model.vocabulary, parameters=0, shapes={},
        anchors=Anchors(uniform=uniform), tokens_per_step=float(config.batch * config.sequence),
        samples_per_step=config.batch, steps=config.steps, learning_rates=expected_rates(case),
    )  # fmt: skip


def _cpu_of_programs() -> float:
    """CPU seconds of all programs that this process has seen end, and of theirs."""
    used = os.times()
    return used.children_user + used.children_system

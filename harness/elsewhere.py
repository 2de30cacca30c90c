"""Runs cases as they are at a commit: with that commit's code, in a process of its own.

The case files, the data and the programs beside them are those of the checkout. So are Python modules: the
checkout, and its folder `src`, come first where Python looks for them. The suite itself is the one that runs,
or that of `python`; where the repository holds the suite, it is the commit's own.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from harness.model import HarnessError, Run
from harness.processes import die_with
from harness.store import open_store
from harness.worktrees import ROOT, Checkout, environment_with

SUFFIXES = (".yaml", ".yml")
DEFAULT = "cases"
INTERRUPTED = 130


class AbsentError(HarnessError):
    """At this commit the case is not there, or cannot be run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Elsewhere:
    """How cases are run in a checkout.

    scratch: a folder for logs and stores. python: an interpreter with the suite; '' for this one. build: a
    command that is run in each checkout before its first run. backends: only these, where any is named.
    tell: is given what goes on, in words, before it begins.
    """

    scratch: Path
    python: str = ""
    build: str = ""
    backends: tuple[str, ...] = ()
    tell: Callable[[str], None] = field(default=lambda _: None, repr=False, compare=False)
    _numbers: Iterator[int] = field(default_factory=count, repr=False, compare=False)
    _built: set[Path] = field(default_factory=set, repr=False, compare=False)

    def run(self, checkout: Checkout, cases: Sequence[str], tags: Sequence[str] = ()) -> tuple[Run, ...]:
        """All runs of some cases, by file or by name, or of the folder `cases`; with all that they recorded.

        Raises:
            AbsentError: at this commit there is no such case, its file has mistakes, or building failed.
            HarnessError: the interpreter cannot run the suite.
        """
        self._build(checkout)
        self.tell(f"{checkout.commit.short}: {', '.join(cases or [DEFAULT])}")
        wanted = [located(checkout, case) for case in cases or [DEFAULT]]
        store = self.scratch / f"{next(self._numbers)}.sqlite"
        options = [*_each("--tag", tags), *_each("--backend", self.backends), "--store", str(store)]
        code, log = self._suite(checkout, ["run", *map(str, wanted), *options])
        if not store.exists():
            raise AbsentError(_why_nothing(checkout, code, log, self.python))
        with open_store(store, create=False) as recorded:
            runs = tuple(recorded.run(row.id) for row in recorded.runs())
        store.unlink()
        return tuple(run for run in runs if any(meant(case, run.case) for case in cases or [DEFAULT]))

    def _build(self, checkout: Checkout) -> None:
        if not self.build or checkout.root in self._built:
            return
        self.tell(f"{checkout.commit.short}: {self.build}")
        code, log = self._spawned(checkout, shlex.split(self.build))
        if code:
            text = f"{checkout.commit.short}: `{self.build}` left with exit code {code}"
            raise AbsentError(f"{text}: {_last(log)}")
        self._built.add(checkout.root)

    def _suite(self, checkout: Checkout, arguments: Sequence[str]) -> tuple[int, str]:
        # -P: what lies in the folder must not stand in for the suite.
        return self._spawned(checkout, [self.python or sys.executable, "-P", "-m", "harness", *arguments])

    def _spawned(self, checkout: Checkout, command: Sequence[str]) -> tuple[int, str]:
        log = self.scratch / f"{next(self._numbers)}.log"
        with log.open("wb") as file:
            code = _wait(command, checkout.folder, environment_with(self._paths(checkout)), file.fileno())
        text = log.read_text(errors="replace")
        log.unlink()
        if code in (INTERRUPTED, -signal.SIGINT):
            raise KeyboardInterrupt
        return code, text

    def _paths(self, checkout: Checkout) -> list[Path]:
        """Folders that come first for Python."""
        theirs = [checkout.root, *(path for path in [checkout.root / "src"] if path.is_dir())]
        own = holds_suite(checkout.root)
        if not own and (checkout.root / "harness" / "__init__.py").exists():
            text = "holds a package `harness` that is not this suite: both cannot be imported; rename it"
            raise HarnessError(f"{checkout.commit.short}: {text}")
        return theirs if own or self.python else [*theirs, ROOT]


def holds_suite(root: Path) -> bool:
    """Whether a checkout is one of this suite."""
    return all((root / "harness" / name).is_file() for name in ("__main__.py", "worker.py", "forkserver.py"))


def located(checkout: Checkout, case: str) -> Path:
    """The case file or folder that a word means in a checkout, from its folder.

    Raises:
        AbsentError: there is none at this commit.
        HarnessError: the word leads out of the folder.
    """
    path = checkout.folder / inside(case)
    if case.endswith(SUFFIXES) or path.is_dir():
        found = [path] if path.exists() else []
    else:
        *folder, name = case.split("/")
        names = [stem_of(name) + suffix for suffix in SUFFIXES]
        below = checkout.folder.joinpath(*(folder or [DEFAULT]))
        found = sorted(each for pattern in names for each in below.rglob(pattern) if each.is_file())
    if not found:
        raise AbsentError(
            f"{checkout.commit.short}: no case '{case}' there; name one in `{DEFAULT}`, or a file"
        )
    return found[0].relative_to(checkout.folder)


def inside(case: str) -> str:
    """A word for cases that stays in the folder, as in every checkout it must.

    Raises:
        HarnessError: it does not.
    """
    if Path(case).is_absolute() or ".." in Path(case).parts:
        raise HarnessError(f"{case}: leads out of the checkouts; name it from the folder of --repo")
    return case


def stem_of(name: str) -> str:
    """A case's name without the choices of its matrix, which is the name of its file."""
    return name.partition("[")[0]


def meant(word: str, case: str) -> bool:
    """Whether a word stands for this case, perhaps among others of its file."""
    return "[" not in word or word.rpartition("/")[2] == case


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [part for value in values for part in (option, value)]


def _wait(command: Sequence[str], folder: Path, environment: Mapping[str, str], log: int) -> int:
    try:
        process = subprocess.Popen(  # noqa: S603 - the suite, or what the user wants to be run for building
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            # Whoever kills this process means its runs too.
            preexec_fn=partial(die_with, os.getpid()),  # noqa: PLW1509 - no thread runs here
        )
    except FileNotFoundError as error:
        gone = error.filename if folder.is_dir() else f"the folder {folder.name} at this commit"
        raise AbsentError(f"{gone}: no such file or folder; expected one that is there") from error
    with process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def _why_nothing(checkout: Checkout, code: int, log: str, python: str) -> str:
    said = _last(log)
    if "No module named" in said and "harness" in said and python:
        raise HarnessError(f"--python {python}: {said}; install training-harness there")
    return f"{checkout.commit.short}: nothing ran (exit code {code}): {said}"


def _last(log: str) -> str:
    lines = log.strip().splitlines() or ["it said nothing"]
    return lines[-1].strip()[:300]
